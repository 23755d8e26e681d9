"""Threads for what blocks: bounded in number and in what waits for them, so that the event loop never waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from service.embedding import DeadlineExceededError, QueueFullError, ShuttingDownError

T = TypeVar("T")


class Workers:
    """threads: how many. max_waiting: how many calls may wait for one. before: what is called on the thread before each
    call, which is not made if that raises."""

    def __init__(self, name: str, threads: int, max_waiting: int, before: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._before = before
        self._pool = ThreadPoolExecutor(threads, name)
        self._most = threads + max_waiting
        self._lock = threading.Lock()
        self._pending = 0
        self._closed = False

    async def run(self, work: Callable[[], T], deadline: float | None = None) -> T:
        """What the call gives. deadline: by `time.monotonic`; work that was not begun by then is not done.

        Work that has begun is finished also when its caller has gone.
        """
        with self._lock:
            if self._closed:
                raise ShuttingDownError("the service is shutting down: ask again when it has started anew")
            if self._pending >= self._most:
                raise QueueFullError(f"{self._pending} calls are waiting for {self._name}: ask again in 1 s", 1.0)
            self._pending += 1
        future = self._pool.submit(self._in_time, work, deadline)
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Finishes what was taken in."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=True)

    def _done(self, future: Future[T]) -> None:
        with self._lock:
            self._pending -= 1

    def _in_time(self, work: Callable[[], T], deadline: float | None) -> T:
        if deadline is not None and time.monotonic() >= deadline:
            raise DeadlineExceededError("the deadline passed before the work began: allow more time, or ask for less")
        self._before()
        return work()
