"""The averaged encodings of a changing gallery, by column, in a few immutable segments.

Building inverted lists for one item costs as much as walking the gallery, so a changed item goes into the small open
segment, which is made anew when next asked. A full one is sealed, and segments of like size are merged, so that there
are only a handful. An item belongs to exactly one segment; what older segments still say of it is passed over.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import sparse

from retrieval.rerank.inverted import InvertedLists

OPEN = 0
NOWHERE = -1
OPEN_SIZE = 512  # items; the open segment of that size is made anew in a few milliseconds
GROWTH = 4  # a segment is merged into the one before it once that is less than this many times larger


class Segments:
    """`averaged(items)` gives V' (len(items), N) of items as they are now; it is asked when a segment is made."""

    def __init__(self, averaged: Callable[[npt.NDArray[np.int32]], sparse.csr_array]) -> None:
        self._averaged = averaged
        self._owner = np.zeros(0, np.int32)  # by item: its segment's number, OPEN or NOWHERE
        self._sealed: list[tuple[int, InvertedLists]] = []  # oldest and largest first
        self._open: InvertedLists | None = None
        self._next = OPEN + 1

    def rebuild(self, items: npt.NDArray[np.int32], size: int) -> None:
        """One segment of the given items; no other of the `size` items is anywhere."""
        self._owner = np.full(size, NOWHERE, np.int32)
        self._sealed, self._open = [], None
        self._seal(items)

    def single(self) -> InvertedLists:
        """The one segment that there is after `rebuild`, for saving."""
        [(_, lists)] = self._sealed
        return lists

    def restore(self, lists: InvertedLists) -> None:
        """Takes up what `single` gave: one segment of all items."""
        size = len(lists.starts) - 1
        self._owner = np.full(size, self._next, np.int32)
        self._sealed, self._open = [(self._next, lists)], None
        self._next += 1

    @property
    def nbytes(self) -> int:
        return self._owner.nbytes + sum(lists.nbytes for _, lists in self._sealed)

    def touch(self, items: npt.NDArray[np.integer]) -> None:
        """The encodings of these items have changed, or are new."""
        missing = int(items.max(initial=-1)) + 1 - len(self._owner)
        if missing > 0:
            self._owner = np.concatenate((self._owner, np.full(missing, NOWHERE, np.int32)))
        self._owner[items] = OPEN
        self._open = None

    def drop(self, items: npt.NDArray[np.integer]) -> None:
        """These items are gone, from this call on."""
        self._owner[items] = NOWHERE

    def meet(
        self, columns: npt.NDArray[np.int32], weights: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """`InvertedLists.meet` over all segments, each item as it is now."""
        segments = [(OPEN, self._current()), *self._sealed]
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

    def _current(self) -> InvertedLists:
        """The open segment, made anew if anything was touched; sealed and merged when it has grown."""
        if self._open is None:
            items = np.flatnonzero(self._owner == OPEN).astype(np.int32)
            if len(items) > OPEN_SIZE:
                self._merge_into(items)
                items = items[:0]
            self._open = InvertedLists.of(self._averaged(items), items)
        return self._open

    def _merge_into(self, items: npt.NDArray[np.int32]) -> None:
        while self._sealed:
            older = np.flatnonzero(self._owner == self._sealed[-1][0]).astype(np.int32)
            if len(older) >= GROWTH * len(items):
                break
            self._sealed.pop()
            items = np.union1d(items, older)
        self._seal(items)

    def _seal(self, items: npt.NDArray[np.int32]) -> None:
        self._sealed.append((self._next, InvertedLists.of(self._averaged(items), items)))
        self._owner[items] = self._next
        self._next += 1
