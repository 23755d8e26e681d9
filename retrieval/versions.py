"""One value that many threads ask while one of them replaces it. Nobody who asks ever waits for a change."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Versions(Generic[Value]):
    """The present version of a value, and who still asks earlier ones.

    Whoever asks takes the present version once and keeps to it until the call is over, so a version that was published
    may no longer change. Whoever changes makes the next one aside, inside `changing`, and then publishes it.
    """

    def __init__(self, first: Value) -> None:
        self.changing = threading.Lock()  # one thread changes at a time
        self._now = first
        self._number = 0
        self._asking: dict[int, int] = {}  # by version's number: how many ask it
        self._turn = threading.Lock()  # held for a few assignments only
        self._answered = threading.Condition(self._turn)

    @property
    def now(self) -> Value:
        return self._now

    @contextmanager
    def asked(self) -> Iterator[Value]:
        """The present version; `wait_for_earlier` waits for those inside."""
        with self._turn:
            number, value = self._number, self._now
            self._asking[number] = self._asking.get(number, 0) + 1
        try:
            yield value
        finally:
            with self._turn:
                self._asking[number] -= 1
                if not self._asking[number]:
                    del self._asking[number]
                    self._answered.notify_all()

    def publish(self, value: Value) -> None:
        """From here on `value` is what is asked. Only inside `changing`."""
        with self._turn:
            self._now, self._number = value, self._number + 1

    def wait_for_earlier(self) -> None:
        """Returns when nobody asks a version before the present one any more. Only inside `changing`."""
        with self._turn:
            self._answered.wait_for(lambda: all(number == self._number for number in self._asking))
