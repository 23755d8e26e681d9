"""What a re-ranking graph keeps of each item, in arrays that grow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.rerank.encoding import NeighbourLists
from retrieval.rerank.settings import RerankSettings


class Items:
    """One row a slot in every array, slots in ascending order of key. Arrays are views of stores with room to grow."""

    keys: npt.NDArray[np.int64]  # (n,) the caller's
    vectors: npt.NDArray[np.float32]  # (n, D)
    indices: npt.NDArray[np.int32]  # (n, reach) slots of the nearest others, nearest first; -1 where there are no more
    similarities: npt.NDArray[
        np.float32
    ]  # (n, reach); where a list has lost an item, its last one is still the old radius
    farthest: npt.NDArray[np.int32]  # (n,) the slot least similar
    lowest: npt.NDArray[np.float32]  # (n,) its similarity
    mutual_half: npt.NDArray[np.bool_]  # (n, h) which of the h nearest are reciprocal within h
    alive: npt.NDArray[np.bool_]  # (n,) not removed
    holed: npt.NDArray[np.bool_]  # (n,) a removed item stood in the list, or as the farthest
    changed: npt.NDArray[np.bool_]  # (n,) the list is not the one that encodings were made from
    outdated: npt.NDArray[np.bool_]  # (n,) the encoding is to be made again

    def __init__(self, keys: npt.NDArray[np.int64], vectors: npt.NDArray[np.float32], settings: RerankSettings) -> None:
        self._stores = _blank(keys, vectors, settings)
        self._borrowed = True  # the vectors may be the caller's own, until something has to be written into them
        self._show(len(keys))

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def lists(self) -> NeighbourLists:
        return NeighbourLists(self.vectors, self.indices, self.lowest)

    def extend(self, keys: npt.NDArray[np.int64], vectors: npt.NDArray[np.float32], settings: RerankSettings) -> None:
        """Adds blank rows for new items."""
        count, wanted = len(self), len(self) + len(keys)
        for name, rows in _blank(keys, vectors, settings).items():
            store = self._stores[name]
            if wanted > len(store):
                larger = np.empty((max(wanted, 3 * len(store) // 2), *store.shape[1:]), store.dtype)
                larger[:count] = store[:count]
                self._stores[name] = store = larger
                self._borrowed &= name != "vectors"
            store[count:wanted] = rows
        self._show(wanted)

    def forget(self, slots: npt.NDArray[np.integer]) -> None:
        """Takes items out of every list, and marks whose lists that leaves short or without their farthest."""
        self.alive[slots] = False
        if self._borrowed:
            self._stores["vectors"], self._borrowed = self._stores["vectors"].copy(), False
            self._show(len(self))
        self.vectors[slots] = 0.0
        gone = (self.indices >= 0) & ~self.alive[self.indices]
        rows = np.flatnonzero(gone.any(axis=1) & self.alive)
        gone = gone[rows]
        self.mutual_half[rows] &= ~gone[:, : self.mutual_half.shape[1]]
        # Close the gaps. The last similarity stays: it is the radius that the list had, and the true one is no larger.
        order = np.argsort(gone, axis=1, kind="stable")
        left, last = ~np.take_along_axis(gone, order, 1), self.similarities[rows, -1:]
        self.indices[rows] = np.where(left, np.take_along_axis(self.indices[rows], order, 1), -1)
        self.similarities[rows] = np.where(left, np.take_along_axis(self.similarities[rows], order, 1), last)
        self.reorder_mutual(rows, order)
        self.holed[rows] = True
        self.holed[(self.farthest >= 0) & ~self.alive[self.farthest]] = True

    def reorder_mutual(self, rows: npt.NDArray[np.integer], source: npt.NDArray[np.integer]) -> None:
        """Keeps `mutual_half` in step where place p of a row's list now holds what stood in place `source[:, p]`.

        What came into the first h from farther back is not known to be reciprocal within h until the next refresh.
        """
        half = self.mutual_half.shape[1]
        source = source[:, :half]
        known = source < half
        before = np.take_along_axis(self.mutual_half[rows], np.where(known, source, 0), axis=1)
        self.mutual_half[rows] = before & known

    def _show(self, count: int) -> None:
        for name, store in self._stores.items():
            setattr(self, name, store[:count])


def _blank(
    keys: npt.NDArray[np.int64], vectors: npt.NDArray[np.float32], settings: RerankSettings
) -> dict[str, npt.NDArray[Any]]:
    n = len(keys)
    return {
        "keys": keys,
        "vectors": vectors,
        "indices": np.full((n, settings.reach), -1, np.int32),
        "similarities": np.full((n, settings.reach), -np.inf, np.float32),
        "farthest": np.full(n, -1, np.int32),
        "lowest": np.ones(n, np.float32),
        "mutual_half": np.zeros((n, settings.half), np.bool_),
        "alive": np.ones(n, np.bool_),
        "holed": np.zeros(n, np.bool_),
        "changed": np.zeros(n, np.bool_),
        "outdated": np.zeros(n, np.bool_),
    }
