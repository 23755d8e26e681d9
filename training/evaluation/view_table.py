"""How well a person seen from one side is found from another: mAP of query view x gallery view.

A cell (front, back) asks with the front pictures and keeps only the back pictures of the gallery, everybody's: of wrong
people too. A query without a match among them is not scored in that cell.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval import Labels, ranking_metrics
from training.data import VIEWPOINTS
from training.evaluation.distances import Floats
from training.evaluation.trial import Trial, Views

_VIEWS = len(VIEWPOINTS)


@dataclass(frozen=True, slots=True, eq=False)
class ViewTable:
    """mean_ap: float64 (3, 3), step AP, NaN where no query has a match; queries: int64 (3, 3), those scored in a cell.
    gallery: int64 (3,), the pictures kept. same_view, cross_view: means over all scored queries of the cells on and
    off the diagonal, NaN where there is none. source: who says which side is seen."""

    mean_ap: NDArray[np.float64]
    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]
    same_view: float
    cross_view: float
    source: str


class ViewTally:
    """Looks at distance blocks as they pass by, and knows the table at the end."""

    def __init__(self, trial: Trial, views: Views) -> None:
        self._trial = trial
        self._views = views
        self._columns = [np.flatnonzero(views.gallery == view) for view in range(_VIEWS)]
        self._scored = np.stack([self._has_match(columns) for columns in self._columns], axis=1)
        self._scored &= (views.query >= 0)[:, None]
        self._ap = np.full((len(trial.query), _VIEWS), np.nan)
        self._seen = 0

    def watch(self, blocks: Iterable[Floats]) -> Iterator[Floats]:
        """The same blocks, each looked at before it is passed on."""
        for block in blocks:
            self._add(block)
            yield block

    def table(self) -> ViewTable:
        asked = [self._views.query == view for view in range(_VIEWS)]
        own = np.zeros_like(self._scored)
        known = self._views.query >= 0
        own[np.flatnonzero(known), self._views.query[known]] = True
        return ViewTable(
            mean_ap=np.array([[_mean(self._ap[rows, view]) for view in range(_VIEWS)] for rows in asked]),
            queries=np.array([self._scored[rows].sum(axis=0) for rows in asked], dtype=np.int64),
            gallery=np.array([len(columns) for columns in self._columns], dtype=np.int64),
            same_view=_mean(self._ap[own]),
            cross_view=_mean(self._ap[~own]),
            source=self._views.source,
        )

    def _has_match(self, columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        query, gallery = self._trial.query_labels, self._trial.gallery_labels
        found = _count(query.person, gallery.person[columns])
        if query.camera is not None and gallery.camera is not None:
            cameras = int(max(query.camera.max(), gallery.camera.max())) + 1
            found -= _count(
                query.person * cameras + query.camera, gallery.person[columns] * cameras + gallery.camera[columns]
            )
        return np.asarray(found > 0)

    def _add(self, block: Floats) -> None:
        start = self._seen
        self._seen += len(block)
        for view, columns in enumerate(self._columns):
            rows = np.flatnonzero(self._scored[start : self._seen, view])
            if len(rows):
                metrics = ranking_metrics(
                    block[np.ix_(rows, columns)],
                    _taken(self._trial.query_labels, rows + start),
                    _taken(self._trial.gallery_labels, columns),
                    ignore_cameras=self._trial.ignore_cameras,
                )
                self._ap[rows + start, view] = metrics.ap_step


def _taken(labels: Labels, rows: NDArray[np.int64]) -> Labels:
    return Labels(labels.person[rows], None if labels.camera is None else labels.camera[rows])


def _count(wanted: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each wanted value stands among the others."""
    ordered = np.sort(among)
    return np.searchsorted(ordered, wanted, "right") - np.searchsorted(ordered, wanted, "left")


def _mean(values: NDArray[np.float64]) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
