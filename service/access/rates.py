"""How often somebody may ask: a token bucket each, in one number each."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from service.access.errors import BadKeyError

MOST = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket of `burst` tokens that gains `per_second` tokens a second. A search takes one."""

    per_second: float
    burst: int

    def __post_init__(self) -> None:
        if not 0 < self.per_second <= 1e6:
            raise BadKeyError(f"a rate is {self.per_second:g} a second: give a number above 0, at most a million")
        if not 1 <= self.burst <= 1_000_000:
            raise BadKeyError(f"a burst is {self.burst}: give 1 to 1,000,000, how many may come at once")


class RateLimiter:
    """Buckets by name: a key's id, or a client's address where there are no keys. Any number of threads may call.

    A bucket is kept as the moment at which it is full again (the generic cell rate algorithm), so one that was never
    used and one that is full are the same. At most `most` are kept; of more, those least lately used are forgotten,
    which fills them.
    """

    def __init__(self, *, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, who: str, rate: Rate, tokens: int = 1) -> float:
        """Takes tokens and returns 0.0, or takes none and returns the seconds until there are enough.

        More tokens than the bucket ever holds count as a full bucket, or such a request could never be let in.
        """
        wanted, capacity = min(tokens, rate.burst) / rate.per_second, rate.burst / rate.per_second
        with self._lock:
            now = self._clock()
            full_at = max(self._full_at.get(who, now), now) + wanted
            wait = full_at - now - capacity
            if wait > 1e-9 * capacity:  # less is rounding
                return wait
            self._full_at[who] = full_at
            self._full_at.move_to_end(who)
            if len(self._full_at) > self._most:
                self._full_at.popitem(last=False)
            return 0.0

    def __len__(self) -> int:
        """How many buckets are kept."""
        return len(self._full_at)
