"""What training looked like, from a run's log."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.report.chart import NARROW, Axis, Line, line_chart
from training.report.errors import ReportError
from training.report.section import Section

LOG_FILE = "log.jsonl"


def curves_section(run: Path) -> Section:
    """The losses by epoch and the validation by epoch; a run without validation shows its losses alone."""
    events = list(_events(run / LOG_FILE))
    losses = _losses(events)
    if not losses:
        raise ReportError(f"{run / LOG_FILE} names no loss: give --run a run that has done at least one epoch")
    parts = [f"<div><h3>Loss</h3>{_loss_chart(losses)}</div>"]
    scores = [(float(event["epoch"]), event) for event in events if event["event"] == "validation"]
    curves = [
        Line(words, [(epoch, float(event[key])) for epoch, event in scores if key in event], colour)
        for colour, (key, words) in enumerate((("map", "mAP"), ("rank1", "first answer right")), start=1)
    ]
    curves = [curve for curve in curves if curve.points]
    if curves:
        last = max(curve.points[-1][0] for curve in curves)
        chart = line_chart(
            curves,
            Axis("epoch", 0, max(last, 1.0), whole=True),
            Axis("", 0, 1, percent=True),
            title="validation",
            size=NARROW,
        )
        parts.append(f"<div><h3>Held-out training people</h3>{chart}</div>")
    return Section(
        "training",
        "How it was trained",
        f'<div class="pair">{"".join(parts)}</div>',
        "The loss is what training makes small; it should fall and then level out. The scores are of people who were "
        "set aside from training and never of the test pictures above; the network with the best of these was kept. A "
        "loss that still falls while the scores do not is learning its people by heart.",
    )


def _loss_chart(losses: dict[str, list[tuple[float, float]]]) -> str:
    lines = [Line(name, points, colour) for colour, (name, points) in enumerate(losses.items(), start=1)]
    last = max(line.points[-1][0] for line in lines)
    highest = max(value for line in lines for _, value in line.points)
    return line_chart(
        lines,
        Axis("epoch", 0, max(last, 1.0), whole=True),
        Axis("", min(0.0, *(value for line in lines for _, value in line.points)), highest * 1.05 or 1.0),
        title="training loss",
        size=NARROW,
    )


def _losses(events: list[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """The parts of the loss by name, each (epoch, mean over that epoch)."""
    series: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        if event["event"] != "epoch":
            continue
        for name, value in event.get("parts", {}).items():
            series.setdefault(name, []).append((float(event["epoch"]), float(value)))
    return series


def _events(file: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ReportError(
            f"{file} cannot be read ({error.strerror or error}): give --run the folder of a run of vantage-train fit"
        ) from error
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line)
        except ValueError:
            if number == len(lines):  # the run was killed while it wrote this line
                return
            raise ReportError(f"line {number} of {file} is not JSON: the log is damaged") from None
        if isinstance(event, dict) and "event" in event and "epoch" in event:
            yield event
