"""How many crops of clients that wait may be under way: counted before anything is read or decoded for them.

To refuse must cost next to nothing, or a service of which too much is asked is busy with refusing. And what is taken in
must not share its decoders with much that will be given up, or everything is late.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.embedding import QueueFullError

_FIRST_SECONDS = 1.0


class Places:
    """For the event loop alone. most: crops, from before they are decoded until they are embedded. refused: called for
    each request that is not let in."""

    def __init__(self, most: int, refused: Callable[[], None]) -> None:
        self._most, self._refused = most, refused
        self._taken = 0
        self._stay = _FIRST_SECONDS

    @property
    def taken(self) -> int:
        return self._taken

    def check(self) -> None:
        """QueueFullError if not even one crop more is let in."""
        if self._taken >= self._most:
            raise self._full("one more is")

    @contextmanager
    def of(self, crops: int) -> Iterator[None]:
        """Places for so many, or QueueFullError. What is more than there ever are is left to the queue to refuse."""
        if crops <= self._most < self._taken + crops:
            raise self._full(f"{crops} more are" if crops > 1 else "one more is")
        self._taken += crops
        came = time.monotonic()
        try:
            yield
        finally:
            self._taken -= crops
            self._stay += 0.1 * (time.monotonic() - came - self._stay)

    def _full(self, more: str) -> QueueFullError:
        self._refused()
        return QueueFullError(
            f"{self._taken} crops are under way and {self._most} may be, {more} too many: ask again in "
            f"{self._stay:.2g} s",
            self._stay,
        )
