"""Keeping the neighbour lists of the graph current, in slices between which writes go on."""

from __future__ import annotations

import time

from service.gallery.embedded.holdings import Holdings
from service.gallery.embedded.writer import Writer

SLICE = 32  # stale neighbour lists made anew in one go, at least, while writes wait
SLICE_SECONDS = 0.1  # which may take so long
QUIET = 0.5  # seconds without a write after which upkeep may hold the writing thread
LONGEST_STALE = 60.0  # ... and without such a pause it does so after this many


class Refresher:
    def __init__(self, holdings: Holdings, writer: Writer) -> None:
        self._holdings, self._writer = holdings, writer
        self._slice, self._refreshed = SLICE, time.monotonic()

    def refresh(self) -> bool:
        """Makes a slice of the stale lists anew, if this is the moment; whether there are more."""
        graph = self._holdings.now.graph
        if graph is None or not graph.stale:
            return False
        # In the middle of many writes, what is made anew is stale again with the next.
        if self._writer.idle_seconds < QUIET and time.monotonic() - self._refreshed < LONGEST_STALE:
            return False
        began = time.monotonic()
        left = self._writer.alone(lambda: graph.refresh(self._slice))
        taken = time.monotonic() - began  # a slice costs a walk along all items besides, so small ones do not pay
        self._slice = max(SLICE, self._slice // 2 if taken > 2 * SLICE_SECONDS else self._slice)
        self._slice *= 2 if taken < SLICE_SECONDS else 1
        if not left:
            self._refreshed = time.monotonic()
        return left > 0
