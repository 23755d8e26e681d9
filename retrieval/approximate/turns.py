"""Many threads read a thing while one changes it now and then: faiss indexes may not be searched during an addition."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Readers together, or one writer alone; there is only one writing thread.

    New readers wait for a writer who waits, and a writer lets those readers go first who waited for its last turn: so
    neither a stream of searches nor a long addition, made in many short turns, shuts the other out.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._readers = 0
        self._waiting = 0  # readers outside
        self._owed = 0  # of these, how many go before the writer's next turn
        self._wanted = False
        self._writing = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._changed:
            if self._writing or self._wanted:
                self._waiting += 1
                self._changed.wait_for(lambda: not self._writing and (not self._wanted or self._owed > 0))
                self._waiting -= 1
                if self._owed:
                    self._owed -= 1
                    self._changed.notify_all()
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                if not self._readers:
                    self._changed.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._owed)
            self._wanted = True
            self._changed.wait_for(lambda: not self._readers)
            self._wanted, self._writing = False, True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._owed = self._waiting
                self._changed.notify_all()
