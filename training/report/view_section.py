"""Query viewpoint by gallery viewpoint."""

import math

from training.evaluation import GroupTable
from training.report.section import Section


def view_section(table: GroupTable) -> Section:
    """A matrix of mAP, shaded by its value."""
    head = "".join(
        f'<th scope="col">{view}<small>{count:,} pictures</small></th>'
        for view, count in zip(table.names, table.gallery.tolist(), strict=True)
    )
    rows = "".join(
        f'<tr><th scope="row">asked: {view}</th>{"".join(map(_cell, scores, counts))}</tr>'
        for view, scores, counts in zip(table.names, table.mean_ap.tolist(), table.queries.tolist(), strict=True)
    )
    body = f'<table class="matrix"><tr><th>found among:</th>{head}</tr>{rows}</table>'
    means = [
        f"{words} {100 * value:.1f} %"
        for words, value in (("the same side", table.same), ("another side", table.cross))
        if math.isfinite(value)
    ]
    return Section(
        "views",
        "From one side to another",
        body,
        "Each field asks with pictures of one side of people and keeps only gallery pictures of one side; the number "
        f"is the mAP. Mean over queries: {', '.join(means) or 'none could be scored'}. The nearer the fields off the "
        "diagonal come to those on it, the less it matters which way somebody walks. Sides are "
        f"{table.source}.",
        beside=True,
    )


def _cell(score: float, queries: int) -> str:
    if not math.isfinite(score):
        return '<td class="none">-<small>no query</small></td>'
    return f'<td style="--share:{score:.3f}">{100 * score:.1f} %<small>{queries:,} queries</small></td>'
