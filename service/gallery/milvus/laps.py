"""How long each stage of a search took."""

from __future__ import annotations

import time


class Laps:
    """Seconds a stage, summed where it comes more than once."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def end(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now
