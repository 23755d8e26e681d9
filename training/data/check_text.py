"""A `DataReport` for people: a table of the splits and a sentence for everything that wants attention."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from training.data.check import DataReport
from training.data.dataset import VIEWPOINTS

_SHOWN = 10


def remarks(report: DataReport) -> list[str]:
    """What is worth knowing before training or evaluating, a sentence each, with what to do."""
    said: list[str] = []
    if report.unreadable:
        said.append(
            f"{_count(len(report.unreadable), 'file')} cannot be read and will be skipped; mend or remove: "
            + _first(report.unreadable, "; ")
        )
    if report.duplicates:
        pairs = [f"{train} = {test}" for train, test in report.duplicates]
        said.append(
            f"{_count(len(pairs), 'test picture')} also stand, byte for byte, in training, which flatters every score; "
            f"remove one of each: {_first(pairs)}"
        )
    if report.shared_people:
        said.append(
            f"{_count(len(report.shared_people), 'label')} of people stand in training and in testing; if they are the "
            f"same people, scores say nothing about strangers: {_first(report.shared_people)}"
        )
    for part, meaning in (
        ("train", "they teach nothing about a change of camera"),
        ("test", "a camera-aware evaluation cannot find them"),
    ):
        people = report.one_camera[part]
        if people:
            who = _count(len(people), "person", "people")
            said.append(f"{who} in {part} seen by one camera only; {meaning}: {_first(people)}")
    said += _about_evaluation(report)
    said += _about_viewpoints(report)
    return said


def render_report(report: DataReport) -> RenderableType:
    """The report, to be printed by rich."""
    held = _table("split", "images", "people", "cameras", "junk", "distractors")
    shown = _table("viewpoints", *VIEWPOINTS, "unknown")
    for name, facts in report.splits.items():
        numbers = (facts.pictures, facts.people, len(facts.cameras), facts.junk, facts.distractors)
        held.add_row(name, *(f"{number:,}" for number in numbers))
        shown.add_row(name, *(f"{number:,}" for number in (*facts.viewpoints.values(), facts.without_viewpoint)))
    summary = (
        f"{report.name}: {report.pictures:,} images of {report.people:,} people in {report.cameras} cameras; "
        f"{report.view_classes:,} combinations of person and viewpoint in training"
    )
    evaluation = report.evaluation
    if evaluation.cameras:
        possible = f"A camera-aware evaluation is possible: {evaluation.scorable:,} of {evaluation.queries:,} queries."
    else:
        possible = "A camera-aware evaluation is not possible."
    said = remarks(report)
    return Group(summary, "", held, "", shown, "", possible, *(f"- {remark}" for remark in said))


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for at, title in enumerate(titles):
        table.add_column(title, justify="right" if at else "left")
    return table


def _about_evaluation(report: DataReport) -> list[str]:
    evaluation = report.evaluation
    if evaluation.advice is not None:
        return [evaluation.advice]
    unanswerable = evaluation.queries - evaluation.scorable
    if unanswerable:
        return [f"{_count(unanswerable, 'query', 'queries')} have nothing to find in another camera and are not scored"]
    return []


def _about_viewpoints(report: DataReport) -> list[str]:
    train = report.splits["train"]
    missing = train.without_viewpoint
    if not train.pictures or not missing:
        return []
    if missing == train.pictures:
        return ["no training picture has a viewpoint: recipes that need them take viewpoints=FILE in the spec"]
    return [f"{missing:,} of {train.pictures:,} training pictures have no viewpoint: complete the file of viewpoints"]


def _count(number: int, singular: str, plural: str | None = None) -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def _first(names: Sequence[str], between: str = ", ") -> str:
    rest = len(names) - _SHOWN
    return between.join(names[:_SHOWN]) + (f" and {rest:,} more (all of them: --json)" if rest > 0 else "")
