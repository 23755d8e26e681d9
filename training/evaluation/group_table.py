"""How well people seen in one way are found where they are seen in another: mAP of query group x gallery group.

Groups are viewpoints or cameras. A cell (front, back) asks with the front pictures and keeps only the back pictures of
the gallery, everybody's: of wrong people too. A query without a match among them is not scored in that cell.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval import Labels, ranking_metrics
from training.evaluation.distances import Floats
from training.evaluation.trial import Groups, Trial


@dataclass(frozen=True, slots=True, eq=False)
class GroupTable:
    """Of K groups, which `names` names.

    mean_ap: float64 (K, K), step AP, NaN where no query has a match; queries: int64 (K, K), those scored in a cell.
    gallery: int64 (K,), the pictures kept. same, cross: means over all scored queries of the cells on and off the
    diagonal, NaN where there is none. source: who says which group a picture is of.
    """

    names: tuple[str, ...]
    mean_ap: NDArray[np.float64]
    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]
    same: float
    cross: float
    source: str


class GroupTally:
    """Looks at distance blocks as they pass by, and knows the table at the end."""

    def __init__(self, trial: Trial, groups: Groups) -> None:
        self._trial = trial
        self._groups = groups
        self._columns = [np.flatnonzero(groups.gallery == group) for group in range(len(groups.names))]
        self._scored = np.stack([self._has_match(columns) for columns in self._columns], axis=1)
        self._scored &= (groups.query >= 0)[:, None]
        self._ap = np.full((len(trial.query), len(groups.names)), np.nan)
        self._seen = 0

    def watch(self, blocks: Iterable[Floats]) -> Iterator[Floats]:
        """The same blocks, each looked at before it is passed on."""
        for block in blocks:
            self._add(block)
            yield block

    def table(self) -> GroupTable:
        every = range(len(self._groups.names))
        asked = [self._groups.query == group for group in every]
        own = np.zeros_like(self._scored)
        known = self._groups.query >= 0
        own[np.flatnonzero(known), self._groups.query[known]] = True
        return GroupTable(
            names=self._groups.names,
            mean_ap=np.array([[_mean(self._ap[rows, group]) for group in every] for rows in asked]),
            queries=np.array([self._scored[rows].sum(axis=0) for rows in asked], dtype=np.int64),
            gallery=np.array([len(columns) for columns in self._columns], dtype=np.int64),
            same=_mean(self._ap[own]),
            cross=_mean(self._ap[~own]),
            source=self._groups.source,
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
        for group, columns in enumerate(self._columns):
            rows = np.flatnonzero(self._scored[start : self._seen, group])
            if len(rows):
                metrics = ranking_metrics(
                    block[np.ix_(rows, columns)],
                    _taken(self._trial.query_labels, rows + start),
                    _taken(self._trial.gallery_labels, columns),
                    ignore_cameras=self._trial.ignore_cameras,
                )
                self._ap[rows + start, group] = metrics.ap_step


def _taken(labels: Labels, rows: NDArray[np.int64]) -> Labels:
    return Labels(labels.person[rows], None if labels.camera is None else labels.camera[rows])


def _count(wanted: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each wanted value stands among the others."""
    ordered = np.sort(among)
    return np.searchsorted(ordered, wanted, "right") - np.searchsorted(ordered, wanted, "left")


def _mean(values: NDArray[np.float64]) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
