"""What a re-ranking graph keeps of its items, as it is at one moment."""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from retrieval.exact_search import Neighbours, Vectors
from retrieval.keyed_rows import KeyedRows, Slots
from retrieval.keys import Keys
from retrieval.rerank.encoding import NeighbourLists, average
from retrieval.rerank.segments import Segments
from retrieval.rerank.settings import RerankSettings
from retrieval.rerank.sparse_rows import SparseRows


class Items(KeyedRows):
    """Neighbour lists and encodings beside keys and vectors. `extended`, `without` and `copied` give another one, whose
    lists are its own: until others may see it, they may be written."""

    called: ClassVar[str] = "graph"

    indices: npt.NDArray[np.int32]  # (n, reach) slots of the nearest others, nearest first; -1 where there are no more
    similarities: npt.NDArray[
        np.float32
    ]  # (n, reach); where a list has lost an item, its last one is still the old radius
    farthest: npt.NDArray[np.int32]  # (n,) the slot least similar
    lowest: npt.NDArray[np.float32]  # (n,) its similarity
    mutual_half: npt.NDArray[np.bool_]  # (n, h) which of the h nearest are reciprocal within h
    holed: npt.NDArray[np.bool_]  # (n,) a removed item stood in the list, or as the farthest
    changed: npt.NDArray[np.bool_]  # (n,) the list is not the one that encodings were made from
    outdated: npt.NDArray[np.bool_]  # (n,) the encoding is to be made again
    encodings: SparseRows  # V, by item
    segments: Segments  # V', by column

    def __init__(self, keys: Keys, vectors: Vectors, settings: RerankSettings, *, lent: bool) -> None:
        super().__init__(keys, vectors, lent=lent)
        self.settings = settings
        for name, rows in _blank_lists(len(keys), settings).items():
            setattr(self, name, rows)
        self.encodings = SparseRows.of(sparse.csr_array(np.zeros((0, 0), np.float32)))
        self.segments = Segments()

    @property
    def nbytes(self) -> int:
        lists = sum(getattr(self, name).nbytes for name in LISTS)
        return super().nbytes + int(lists) + self.encodings.nbytes + self.segments.nbytes

    @property
    def lists(self) -> NeighbourLists:
        return NeighbourLists(self.vectors, self.indices, self.lowest)

    @property
    def stale(self) -> int:
        """How many items' lists or encodings are not what a rebuild would make them."""
        return int(np.count_nonzero((self.holed | self.changed | self.outdated) & self.alive))

    def averaged(self, slots: Slots) -> sparse.csr_array:
        """V' of these items."""
        return average(lambda of: self.encodings.take(of, len(self)), self.lists, slots, self.settings)

    # ---- the next version --------------------------------------------------------------------------------------------

    def extended(self, keys: Keys, vectors: Vectors) -> Self:
        """With new items, of which nothing is known yet."""
        new = super().extended(keys, vectors)
        for name, rows in _blank_lists(len(keys), self.settings).items():
            setattr(new, name, np.concatenate((getattr(self, name), rows)))
        return new

    def without(self, slots: npt.NDArray[np.integer]) -> Self:
        """Without the items at these slots in any list, and with marks where that leaves one short."""
        new = super().without(slots)
        new._own_lists()
        new._close_lists()
        new.segments = self.segments.dropped(slots)
        return new

    def copied(self) -> Self:
        """The same with lists of its own."""
        new = copy(self)
        new._own_lists()
        return new

    # ---- within one that nobody else sees yet ------------------------------------------------------------------------

    def set_lists(self, slots: Slots, near: Neighbours) -> None:
        self.indices[slots], self.similarities[slots] = near.indices, near.similarities
        self.farthest[slots], self.lowest[slots] = near.farthest, near.lowest

    def reorder_mutual(self, rows: npt.NDArray[np.integer], source: npt.NDArray[np.integer]) -> None:
        """Keeps `mutual_half` in step where place p of a row's list now holds what stood in place `source[:, p]`.

        What came into the first h from farther back is not known to be reciprocal within h until the next refresh.
        """
        half = self.mutual_half.shape[1]
        source = source[:, :half]
        known = source < half
        before = np.take_along_axis(self.mutual_half[rows], np.where(known, source, 0), axis=1)
        self.mutual_half[rows] = before & known

    def _close_lists(self) -> None:
        """Takes what is not alive out of every list, and marks whose lists that leaves short or without farthest."""
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

    def _own_lists(self) -> None:
        for name in LISTS:
            setattr(self, name, getattr(self, name).copy())


def _blank_lists(count: int, settings: RerankSettings) -> dict[str, npt.NDArray[Any]]:
    return {
        "indices": np.full((count, settings.reach), -1, np.int32),
        "similarities": np.full((count, settings.reach), -np.inf, np.float32),
        "farthest": np.full(count, -1, np.int32),
        "lowest": np.ones(count, np.float32),
        "mutual_half": np.zeros((count, settings.half), np.bool_),
        "holed": np.zeros(count, np.bool_),
        "changed": np.zeros(count, np.bool_),
        "outdated": np.zeros(count, np.bool_),
    }


LISTS = tuple(_blank_lists(0, RerankSettings()))
