"""Work that takes longer than a request may: done one after another on a thread, and asked about by its id.

Jobs live as long as the process. What they do is safe to be cut off and asked for anew.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from service.api.problems import as_problem
from service.embedding import QueueFullError, ShuttingDownError

State = Literal["waiting", "running", "done", "failed"]
_KEPT = 1000
_MOST_WAITING = 100
log = logging.getLogger("vantage.failures")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """progress: 0 to 1; None while nobody can say. result: what came of it; problem: why nothing did."""

    id: str
    kind: str
    gallery: str | None
    state: State
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    progress: float | None = None
    result: dict[str, Any] | None = None
    problem: dict[str, Any] | None = field(default=None)


class Jobs:
    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        """before: what is called before each job, which is not begun if that raises."""
        self._before = before
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, "jobs")
        self._closed = False

    def start(self, kind: str, gallery: str | None, work: Callable[[], dict[str, Any]]) -> Job:
        """Takes the work in; its result must be what JSON can hold."""
        job = Job(id=uuid.uuid4().hex, kind=kind, gallery=gallery, state="waiting", created_at=datetime.now(UTC))
        with self._lock:
            if self._closed:
                raise ShuttingDownError("the service is shutting down: ask again when it has started anew")
            waiting = sum(job.state == "waiting" for job in self._jobs.values())
            if waiting >= _MOST_WAITING:
                raise QueueFullError(f"{waiting} jobs are waiting already: see GET /v1/jobs, and ask again later", 60.0)
            self._jobs[job.id] = job
            for old in [held.id for held in self._jobs.values() if held.ended_at is not None][
                : len(self._jobs) - _KEPT
            ]:
                del self._jobs[old]
        self._pool.submit(self._run, job.id, work)
        return job

    def get(self, id: str) -> Job | None:
        with self._lock:
            return self._jobs.get(id)

    def list(self) -> tuple[Job, ...]:
        """The latest first."""
        with self._lock:
            return tuple(reversed(self._jobs.values()))

    def close(self) -> None:
        """Finishes the job that runs; those that wait are given up."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, id: str, work: Callable[[], dict[str, Any]]) -> None:
        self._change(id, state="running", started_at=datetime.now(UTC))
        try:
            self._before()
            result = work()
        except Exception as error:  # whatever it is, it is told to whoever asks for the job
            problem = as_problem(error)
            if problem.status == 500:
                log.exception("job %s failed", id)
            self._change(id, state="failed", problem=problem.members(), ended_at=datetime.now(UTC))
        else:
            self._change(id, state="done", result=result, progress=1.0, ended_at=datetime.now(UTC))

    def _change(self, id: str, **changes: Any) -> None:
        with self._lock:
            self._jobs[id] = replace(self._jobs[id], **changes)
