"""What a gallery does by itself: purges what has expired, makes stale neighbour lists anew, saves what is derived."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

PAUSE = 0.25  # seconds between two looks
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Chore:
    """`work` is called every so many seconds; it returns whether it should be called again at once."""

    name: str
    every_seconds: float
    work: Callable[[], bool]
    due: float = 0.0


class Upkeep:
    """A thread that sees to chores, one after another. A chore that fails is logged and comes again in its turn."""

    def __init__(self, name: str, chores: list[Chore]) -> None:
        self._name, self._chores = name, chores
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"upkeep of {name}", daemon=True)

    def start(self) -> None:
        now = time.monotonic()
        for chore in self._chores:
            chore.due = now + chore.every_seconds
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(PAUSE):
            for chore in self._chores:
                if time.monotonic() >= chore.due and not self._stop.is_set():
                    self._see_to(chore)

    def _see_to(self, chore: Chore) -> None:
        again = False
        try:
            again = chore.work()
        except Exception:
            if not self._stop.is_set():
                log.exception("%s: %s failed; it is tried again", self._name, chore.name)
        chore.due = time.monotonic() + (0 if again else chore.every_seconds)
