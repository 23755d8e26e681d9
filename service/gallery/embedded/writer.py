"""The one thread that writes to a gallery. Writes that wait together share a commit."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from service.gallery.embedded.steps import reached
from service.gallery.embedded.transaction import Transaction
from service.gallery.embedded.truth import Truth
from service.gallery.errors import CorruptError, StorageFullError, UnavailableError

Result = TypeVar("Result")
TOGETHER = 256  # writes that share a commit, and so an fsync, at most


@dataclass(frozen=True, slots=True)
class _Write:
    work: Callable[[Transaction], Any]
    done: Future[Any]


@dataclass(frozen=True, slots=True)
class _Task:
    work: Callable[[], Any]
    done: Future[Any]


class Writer:
    """`taken_up(transaction)` is called after every commit, before those who wrote hear of it."""

    def __init__(self, name: str, truth: Truth, taken_up: Callable[[Transaction], None]) -> None:
        self._name, self._truth, self._taken_up = name, truth, taken_up
        self._queue: queue.SimpleQueue[_Write | _Task | None] = queue.SimpleQueue()
        self._door = threading.Lock()  # nothing is put into the queue after its end mark
        self._closed = False
        self._last_write = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"writer of {name}", daemon=True)
        self._thread.start()

    def write(self, work: Callable[[Transaction], Result]) -> Result:
        """Runs `work(transaction)` and returns its result once that is durable and searchable.

        An error that it raises undoes its own writes and nobody else's.
        """
        done: Future[Result] = Future()
        self._put(_Write(work, done))
        return done.result()

    def alone(self, work: Callable[[], Result]) -> Result:
        """Runs `work()` on the writing thread, between two commits: nothing changes meanwhile but by itself."""
        if threading.current_thread() is self._thread:
            return work()
        done: Future[Result] = Future()
        self._put(_Task(work, done))
        return done.result()

    @property
    def idle_seconds(self) -> float:
        """For how long nothing has been written; 0 while something waits."""
        return time.monotonic() - self._last_write if self._queue.empty() else 0.0

    def close(self) -> None:
        """Finishes what was accepted."""
        with self._door:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _put(self, entry: _Write | _Task) -> None:
        with self._door:
            if self._closed:
                raise UnavailableError(f"gallery {self._name!r} is closed: nothing was done")
            self._queue.put(entry)

    def _run(self) -> None:
        put_off: _Write | _Task | None = None
        while True:
            entry = put_off or self._queue.get()
            put_off = None
            if entry is None:
                return
            if isinstance(entry, _Task):
                _fulfil(entry.done, entry.work)
                continue
            together = [entry]
            while len(together) < TOGETHER and not self._queue.empty():
                following = self._queue.get()
                if not isinstance(following, _Write):
                    # The end mark is the last that is ever put there, so getting it again is all that is left to do.
                    put_off = following
                    if following is None:
                        self._queue.put(None)
                    break
                together.append(following)
            self._commit(together)

    def _commit(self, together: list[_Write]) -> None:
        self._last_write = time.monotonic()
        results: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with self._truth.transaction() as transaction:
                for entry in together:
                    try:
                        with transaction.part():
                            results.append((entry.done, entry.work(transaction), None))
                    except (StorageFullError, CorruptError):
                        raise  # SQLite may have undone more than this part
                    except Exception as error:
                        results.append((entry.done, None, error))
            self._taken_up(transaction)
            reached("searchable")
        except Exception as error:
            for entry in together:
                entry.done.set_exception(error)
            return
        self._last_write = time.monotonic()
        for done, result, failure in results:
            if failure is None:
                done.set_result(result)
            else:
                done.set_exception(failure)


def _fulfil(done: Future[Any], work: Callable[[], Any]) -> None:
    try:
        done.set_result(work())
    except Exception as error:
        done.set_exception(error)
