"""The averaged encodings of a changing gallery, by column, in a few immutable segments.

Building inverted lists for one item costs as much as walking the gallery, so a changed item goes into the small open
segment, which is made anew with every change. A full one is sealed, and segments of like size are merged, so that there
are only a handful. An item belongs to exactly one segment; what older segments still say of it is passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import numpy as np
import numpy.typing as npt
from scipy import sparse

from retrieval.rerank.inverted import InvertedLists

OPEN = 0
NOWHERE = -1
OPEN_SIZE = 512  # items; the open segment of that size is made anew in a few milliseconds
GROWTH = 4  # a segment is merged into the one before it once that is less than this many times larger


Averaged = Callable[[npt.NDArray[np.int32]], sparse.csr_array]
"""Gives V' (len(items), N) of items as they are now."""


class Segments:
    """A value: `touched` and `dropped` give another one."""

    def __init__(self) -> None:
        self._owner = np.zeros(0, np.int32)  # by item: its segment's number, OPEN or NOWHERE
        self._sealed: list[tuple[int, InvertedLists]] = []  # oldest and largest first
        self._open: InvertedLists | None = None
        self._next = OPEN + 1

    @classmethod
    def of(cls, lists: InvertedLists) -> Segments:
        """One segment of all items there are."""
        segments = cls()
        segments._owner = np.full(len(lists.starts) - 1, segments._next, np.int32)
        segments._sealed = [(segments._next, lists)]
        segments._next += 1
        return segments

    def single(self) -> InvertedLists:
        """What `of` was given, for saving."""
        [(_, lists)] = self._sealed
        return lists

    @property
    def nbytes(self) -> int:
        sealed = sum(lists.nbytes for _, lists in self._sealed)
        return self._owner.nbytes + sealed + (0 if self._open is None else self._open.nbytes)

    def touched(self, items: npt.NDArray[np.integer], averaged: Averaged) -> Segments:
        """The encodings of these items have changed, or are new."""
        missing = max(int(items.max(initial=-1)) + 1 - len(self._owner), 0)
        new = self._copied(np.concatenate((self._owner, np.full(missing, NOWHERE, np.int32))))
        new._owner[items] = OPEN
        unsealed = np.flatnonzero(new._owner == OPEN).astype(np.int32)
        if len(unsealed) > OPEN_SIZE:
            new._merge_into(unsealed, averaged)
            new._open = None
        else:
            new._open = InvertedLists.of(averaged(unsealed), unsealed)
        return new

    def dropped(self, items: npt.NDArray[np.integer]) -> Segments:
        """These items are gone."""
        new = self._copied(self._owner.copy())
        new._owner[items] = NOWHERE
        return new

    def meet(
        self, columns: npt.NDArray[np.int32], weights: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """`InvertedLists.meet` over all segments, each item as it is now."""
        segments = self._sealed if self._open is None else [(OPEN, self._open), *self._sealed]
        found = [self._meet_one(number, lists, columns, weights) for number, lists in segments if len(lists.items)]
        if len(found) == 1:
            return found[0]
        if not found:
            return columns[:0], weights[:0], np.zeros(0, np.int64)
        items, shared, places = zip(*found, strict=True)
        return np.concatenate(items), np.concatenate(shared), np.concatenate(places)

    def _meet_one(
        self,
        number: int,
        lists: InvertedLists,
        columns: npt.NDArray[np.int32],
        weights: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        # Columns are ascending, and an item newer than a segment has no column in it.
        known = int(np.searchsorted(columns, len(lists.starts) - 1))
        items, shared, places = lists.meet(columns[:known], weights[:known])
        current = self._owner[items] == number
        return (items, shared, places) if current.all() else (items[current], shared[current], places[current])

    def _copied(self, owner: npt.NDArray[np.int32]) -> Segments:
        new = copy(self)
        new._owner, new._sealed = owner, self._sealed.copy()
        return new

    def _merge_into(self, items: npt.NDArray[np.int32], averaged: Averaged) -> None:
        while self._sealed:
            older = np.flatnonzero(self._owner == self._sealed[-1][0]).astype(np.int32)
            if len(older) >= GROWTH * len(items):
                break
            self._sealed.pop()
            items = np.union1d(items, older)
        self._sealed.append((self._next, InvertedLists.of(averaged(items), items)))
        self._owner[items] = self._next
        self._next += 1
