"""The one value that search, re-ranking, metrics, pictures and JSON all consume, and none of them changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError

NOBODY = -1
"""Stands in `Ranking.ids` where a query has fewer results than the widest row."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The gallery items nearest to each query, best first; one row a query.

    ids        int64 (Q, K): the caller's keys, each at most once a row; `NOBODY` (-1) only at a row's end.
    distances  float32 (Q, K): squared Euclidean distance of unit vectors, 2 - 2 cos, in [0, 4]; inf beside `NOBODY`.
    reranked   float32 (Q, K) or None: the k-reciprocal distance, by which the row is then ordered; inf beside `NOBODY`.

    Equal distances are ordered by id. The arrays are checked once, here, and are read-only from then on.
    """

    ids: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float32]
    reranked: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", _frozen(self.ids, np.int64))
        object.__setattr__(self, "distances", _frozen(self.distances, np.float32))
        if self.reranked is not None:
            object.__setattr__(self, "reranked", _frozen(self.reranked, np.float32))
        if self.ids.ndim != 2:
            raise RetrievalError(f"ids has shape {self.ids.shape}: a ranking holds one row a query, (Q, K)")
        for name in ("distances", "reranked"):
            array = getattr(self, name)
            if array is not None and array.shape != self.ids.shape:
                raise RetrievalError(f"{name} has shape {array.shape}, ids has {self.ids.shape}: they must be alike")
        order = self.order
        empty = self.ids == NOBODY
        if np.isnan(order).any():
            raise RetrievalError("a ranking distance is NaN: look for NaN in the vectors that were searched")
        if not np.isinf(order[empty]).all():
            raise RetrievalError("the distance beside an id of -1 (no result) must be inf")
        if self.ids.shape[1] > 1:
            if (order[:, 1:] < order[:, :-1]).any():
                raise RetrievalError("a ranking row is not in ascending order of its distance: sort it first")
            by_id = np.sort(self.ids, axis=1)
            if ((by_id[:, 1:] == by_id[:, :-1]) & (by_id[:, 1:] != NOBODY)).any():
                raise RetrievalError("a ranking row names the same id twice")

    @property
    def order(self) -> npt.NDArray[np.float32]:
        """float32 (Q, K): the distance that the rows are ordered by: `reranked` where there is one."""
        return self.distances if self.reranked is None else self.reranked

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """int64 (Q,): how many results each query has."""
        return np.asarray((self.ids != NOBODY).sum(axis=1))

    def __len__(self) -> int:
        return len(self.ids)


def _frozen(array: npt.ArrayLike, dtype: type[np.generic]) -> npt.NDArray[np.generic]:
    """A read-only view of `array`; the caller's own array stays as writable as it was."""
    view = np.asarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view
