"""CMC: after how many answers the right person has been seen."""

from training.evaluation import Evaluation
from training.report.chart import Axis, Line, line_chart
from training.report.section import Section

_SHOWN = 20


def cmc_section(evaluations: list[Evaluation]) -> Section:
    """One curve for each evaluation."""
    lines = [
        Line(
            "plain" if evaluation.rerank == "off" else f"re-ranked ({evaluation.rerank})",
            list(enumerate(evaluation.ranking.cmc[:_SHOWN].tolist(), start=1)),
            colour,
        )
        for colour, evaluation in enumerate(evaluations, start=1)
    ]
    lowest = min(line.points[0][1] for line in lines)
    floor = min(0.9, max(0.0, int(lowest * 10 - 0.5) / 10))
    chart = line_chart(
        lines,
        Axis("answers looked at", 1, _SHOWN, whole=True),
        Axis("queries with a right answer", floor, 1, percent=True),
        title="CMC curve",
    )
    first, tenth = evaluations[0].ranking.rank1, evaluations[0].ranking.rank10
    return Section(
        "cmc",
        "How many answers must be looked at (CMC)",
        chart,
        f"Read it so: with one answer a query, {100 * first:.1f} % of the queries show the right person; with ten "
        f"answers, {100 * tenth:.1f} % do. The sooner the curve reaches the top, the better."
        + (f" Note that the scale starts at {100 * floor:.0f} %." if floor else ""),
        beside=True,
    )
