"""From a trial to its scores: ranking, verification, open set and viewpoints."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from retrieval import (
    Labels,
    OpenSetMetrics,
    OperatingPoint,
    RankingMetrics,
    RerankSettings,
    RetrievalError,
    ScoreHistogram,
    open_set_metrics,
    ranking_metrics,
    tpr_at_fpr,
)
from training.evaluation.distances import DistanceRows, Floats, Rerank
from training.evaluation.group_table import GroupTable, GroupTally
from training.evaluation.strangers import unknown_queries
from training.evaluation.trial import Trial

FALSE_ACCEPT_RATES = (1e-2, 1e-3, 1e-4)
FALSE_ALARM_RATES = (0.1, 0.01)
MAX_RANK = 50


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Scores of one model on one dataset.

    ranking, views: of the distances that were asked for, re-ranked or not. verification, open_set: of the plain cosine,
    always, since a threshold is put on a score and a re-ranked distance is none.
    verification: the operating points at false-accept rates 1e-2, 1e-3 and 1e-4. histogram: the pairs behind them.
    open_set: None where too few people are queried; open_set_reason then says so.
    views, cameras: by viewpoint and by camera; None where those are not known.
    """

    trial: Trial
    rerank: Rerank
    settings: RerankSettings
    local_top: int
    ranking: RankingMetrics
    verification: tuple[OperatingPoint, ...]
    histogram: ScoreHistogram
    open_set: OpenSetMetrics | None
    open_set_reason: str | None
    views: GroupTable | None
    cameras: GroupTable | None


def evaluate(
    trial: Trial, rerank: Rerank = "off", settings: RerankSettings | None = None, *, local_top: int = 400
) -> Evaluation:
    """Score a trial; distances pass by in blocks of rows and are never held as a whole."""
    settings = settings or RerankSettings()
    distances = DistanceRows(trial.query.vectors, trial.gallery.vectors, rerank, settings, local_top)
    plain = DistanceRows(trial.query.vectors, trial.gallery.vectors)
    query, gallery = trial.query_labels, trial.gallery_labels
    by_view = None if trial.views is None else GroupTally(trial, trial.views)
    by_camera = None if trial.cameras is None else GroupTally(trial, trial.cameras)
    watched: Iterable[Floats] = distances
    for tally in (by_view, by_camera):
        watched = watched if tally is None else tally.watch(watched)
    ranking = ranking_metrics(
        watched,
        query,
        gallery,
        ignore_cameras=trial.ignore_cameras,
        max_rank=MAX_RANK,
    )
    histogram = ScoreHistogram.of_pairs(plain, query, gallery, ignore_cameras=trial.ignore_cameras)
    open_set, reason = _open_set(trial, plain, query, gallery)
    return Evaluation(
        trial=trial,
        rerank=rerank,
        settings=settings,
        local_top=local_top,
        ranking=ranking,
        verification=tuple(tpr_at_fpr(histogram, rate) for rate in FALSE_ACCEPT_RATES),
        histogram=histogram,
        open_set=open_set,
        open_set_reason=reason,
        views=None if by_view is None else by_view.table(),
        cameras=None if by_camera is None else by_camera.table(),
    )


def _open_set(
    trial: Trial, plain: DistanceRows, query: Labels, gallery: Labels
) -> tuple[OpenSetMetrics | None, str | None]:
    unknown = unknown_queries(trial.query.split.persons)
    if not unknown.any():
        return None, "one person alone is queried, so nobody can be made unknown"
    if np.isin(gallery.person, query.person[unknown]).all():
        return None, "the gallery shows nobody but the people who would be made unknown"
    try:
        metrics = open_set_metrics(
            plain,
            query,
            gallery,
            unknown,
            false_alarm_rates=FALSE_ALARM_RATES,
            ignore_cameras=trial.ignore_cameras,
        )
    except RetrievalError as error:  # none of the people who are left can be found
        return None, str(error)
    return metrics, None
