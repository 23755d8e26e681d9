"""An evaluation as tables that can be read without knowing the jargon."""

import math

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from retrieval.calibration import FEWEST_FALSE_ACCEPTS
from training.evaluation.describe import STEP_AP, TRAPEZOID_AP, protocol, rerank_words
from training.evaluation.evaluate import Evaluation
from training.evaluation.group_table import GroupTable
from training.evaluation.strangers import HOW

_UNREADABLE_SHOWN = 20
_PAIRS_SHOWN = 5


def render_evaluation(evaluation: Evaluation, title: str, precision: str | None = None) -> RenderableType:
    """title: model and dataset; precision: of a file that is not the bundle's first."""
    parts: list[RenderableType] = [
        Text(title, style="bold"),
        Text(f"{protocol(evaluation.trial, precision)}"),
        Text(f"re-ranking: {rerank_words(evaluation)}"),
        Text(),
        _ranking(evaluation),
        Text(),
        _verification(evaluation),
        Text(),
        *_open_set(evaluation),
        Text(),
        *_views(evaluation.views),
        *_cameras(evaluation.cameras),
        *_left_out(evaluation),
    ]
    return Group(*parts)


def percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.2f} %"


def _grid(*titles: str, words: int = 1) -> Table:
    """Columns of numbers, the last `words` of them text."""
    table = Table(box=None, pad_edge=False)
    for place, title in enumerate(titles):
        text = place == 0 or place >= len(titles) - words
        table.add_column(title, justify="left" if text else "right", overflow="fold", no_wrap=not text or place == 0)
    return table


def _ranking(evaluation: Evaluation) -> Table:
    ranking = evaluation.ranking
    table = _grid("ranking", "score", "meaning")
    table.add_row("mAP", percent(ranking.map_step), STEP_AP)
    table.add_row("mAP, trapezoid", percent(ranking.map_trapezoid), TRAPEZOID_AP)
    for rank, share in ((1, ranking.rank1), (5, ranking.rank5), (10, ranking.rank10)):
        found = "the first answer is right" if rank == 1 else f"a right answer is among the first {rank}"
        table.add_row(f"CMC-{rank}", percent(share), f"queries of which {found}")
    table.add_row("mINP", percent(ranking.minp), "how early the last, hardest match is found")
    return table


def _verification(evaluation: Evaluation) -> Table:
    table = _grid("verification", "score", "threshold", "behind it")
    for point in evaluation.verification:
        expected = point.false_accept_rate * point.negatives
        behind = f"{point.positives:,} same-person and {point.negatives:,} different-person pairs"
        if expected < FEWEST_FALSE_ACCEPTS:
            behind += f"; too few to trust: only {expected:.2g} false accepts are expected"
        threshold = f"{point.threshold:.4f}" if math.isfinite(point.threshold) else "none"
        table.add_row(f"TPR@FPR {point.false_accept_rate:g}", percent(point.true_accept_rate), threshold, behind)
    return table


def _open_set(evaluation: Evaluation) -> list[RenderableType]:
    metrics = evaluation.open_set
    if metrics is None:
        return [Text(f"open set: not measured, {evaluation.open_set_reason}")]
    table = _grid("open set", "score", "threshold", "behind it")
    for point in metrics.points:
        behind = f"{metrics.known:,} queries of known people; {point.false_alarms} of {metrics.unknown:,} others alarm"
        name = f"DIR at FAR {point.false_alarm_rate:g}"
        table.add_row(name, percent(point.detection_rate), f"{point.threshold:.4f}", behind)
    return [table, Text(HOW, style="dim")]


def _views(views: GroupTable | None) -> list[RenderableType]:
    if views is None:
        return [Text("viewpoints: neither the dataset nor the model tells them (add viewpoints=FILE to the spec)")]
    table = _grid("mAP by viewpoint", *(f"{view} gallery" for view in views.names), words=0)
    for view, scores, queries in zip(views.names, views.mean_ap, views.queries, strict=True):
        cells = (f"{percent(score)} ({count:,})" for score, count in zip(scores, queries, strict=True))
        table.add_row(f"{view} query", *cells)
    table.add_row("pictures kept", *(f"{count:,}" for count in views.gallery))
    return [
        table,
        Text(f"same view {percent(views.same)}, other views {percent(views.cross)}; in brackets the queries"),
        Text(
            f"viewpoints are {views.source}; in a cell, only gallery pictures of that viewpoint are kept", style="dim"
        ),
    ]


def _cameras(cameras: GroupTable | None) -> list[RenderableType]:
    """The pairs on which it does worst; there may be hundreds."""
    if cameras is None or not np.isfinite(cameras.mean_ap).any():
        return []
    table = _grid("hardest camera pairs", "mAP", "queries", words=0)
    hardest = np.argsort(cameras.mean_ap, axis=None, kind="stable")[:_PAIRS_SHOWN]
    for asked, kept in zip(*np.unravel_index(hardest, cameras.mean_ap.shape), strict=True):
        if np.isfinite(cameras.mean_ap[asked, kept]):
            words = f"asked in {cameras.names[asked]}, found in {cameras.names[kept]}"
            table.add_row(words, percent(cameras.mean_ap[asked, kept]), f"{cameras.queries[asked, kept]:,}")
    return [Text(), table]


def _left_out(evaluation: Evaluation) -> list[RenderableType]:
    trial, ranking = evaluation.trial, evaluation.ranking
    lines = [
        "",
        f"scored {ranking.queries_scored:,} queries; {ranking.queries_skipped:,} have nothing to find"
        + (
            f", {ranking.queries_own_camera_only:,} of them only in their own camera"
            if ranking.queries_own_camera_only
            else ""
        ),
        f"left out: {trial.junk:,} junk pictures, {ranking.pairs_own_camera:,} pairs of one person in one camera",
    ]
    if trial.multi_query is not None:
        lines.append(f"{trial.multi_query_alone:,} queries had no further pictures and were asked as they are")
    if trial.unreadable:
        lines.append(f"{len(trial.unreadable):,} pictures cannot be read:")
        lines += [f"  {sentence}" for sentence in trial.unreadable[:_UNREADABLE_SHOWN]]
        if len(trial.unreadable) > _UNREADABLE_SHOWN:
            lines.append(f"  and {len(trial.unreadable) - _UNREADABLE_SHOWN:,} more (--json lists them all)")
    return [Text(line) for line in lines]
