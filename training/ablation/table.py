"""The ablation as a table: the papers' figures beside ours."""

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from training.ablation.published import CROSS_VIEW_PUBLISHED, PUBLISHED
from training.ablation.results import Spread, against, of_row, spread
from training.ablation.running import Ablation, Failure, RunResult


def render_ablation(
    ablation: Ablation, results: Sequence[RunResult], failures: Sequence[Failure], title: str
) -> RenderableType:
    """title: which dataset."""
    facts = ablation.facts
    return Group(
        Text(f"VA-reID's table 2 and SN beside ours, on {title}", style="bold"),
        Text(
            f"ours: {facts['held_out_people']:,} held-out training people, {facts['held_out_queries']:,} queries, "
            f"{facts['held_out_gallery']:,} gallery pictures; {facts['people']:,} people to train on; the test split "
            "is not touched; the last weights of each run"
        ),
        Text("in per cent: the mean over seeds ± the standard deviation of a run; differences are taken seed by seed"),
        Text(),
        _beside_the_papers(ablation, results),
        Text(),
        _by_viewpoint(ablation, results),
        Text(),
        *_remarks(ablation),
        *_failed(failures),
    )


def _beside_the_papers(ablation: Ablation, results: Sequence[RunResult]) -> Table:
    first = ablation.rows[0].label
    table = _grid("row", "paper mAP", "paper R1", "our mAP", "our R1", f"mAP - {first}", "seeds")
    for row in ablation.rows:
        runs, published = of_row(results, row.label), PUBLISHED.get(row.name)
        table.add_row(
            row.label,
            "-" if published is None else f"{100 * published.map:.2f}",
            "-" if published is None else f"{100 * published.rank1:.2f}",
            _cell(spread(runs, "map")),
            _cell(spread(runs, "rank1")),
            "" if row.label == first else _cell(against(runs, of_row(results, first), "map"), signed=True),
            f"{len(runs)}/{len(ablation.seeds)}",
        )
    return table


def _by_viewpoint(ablation: Ablation, results: Sequence[RunResult]) -> Table:
    first = ablation.rows[0].label
    table = _grid("mAP", "same view", f"- {first}", "cross-view", f"- {first}")
    for row in ablation.rows:
        runs, others = of_row(results, row.label), of_row(results, first)
        cells = [row.label]
        for measure in ("same_view", "cross_view"):
            difference = "" if row.label == first else _cell(against(runs, others, measure), signed=True)
            cells += [_cell(spread(runs, measure)), difference]
        table.add_row(*cells)
    return table


def _grid(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    return table


def _cell(spread: Spread, signed: bool = False) -> str:
    if math.isnan(spread.mean):
        return "-"
    mean = format(100 * spread.mean, "+.1f" if signed else ".1f")
    return mean if math.isnan(spread.deviation) else f"{mean} ±{100 * spread.deviation:.1f}"


def _remarks(ablation: Ablation) -> list[Text]:
    lines = [
        "The papers' figures and ours are of different things: theirs are of Market-1501's test split with a large "
        "network that starts from ImageNet, ours of whatever was given here. Compare the differences between rows.",
        "Of VA-reID's table 2 only the row of the whole loss is known to us; - stands where no source that we could "
        "read gives a figure.",
    ]
    shown = {row.name for row in ablation.rows}
    lines += [f"{name}: {published.source}." for name, published in PUBLISHED.items() if name in shown]
    lines.append(f"Same view and cross-view: {CROSS_VIEW_PUBLISHED}.")
    if any(row.after for row in ablation.rows):
        lines.append(
            "ROW@OTHER starts from OTHER's backbone, so it learns for both their times: hold it against OTHER@OTHER."
        )
    return [Text(line, style="dim") for line in lines]


def _failed(failures: Sequence[Failure]) -> list[Text]:
    if not failures:
        return []
    return [
        Text(),
        Text(f"{len(failures):,} runs failed:", style="bold"),
        *(Text(f"  {each.row} with seed {each.seed}: {each.reason}") for each in failures),
    ]
