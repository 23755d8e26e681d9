"""Work that takes longer than a request may: done one after another on a thread, and asked about by its id.

What jobs do lives as long as the process, and is safe to be cut off and asked for anew. Where replicas share a
database, each tells there of its jobs, and any of them answers for all.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from service.access import DatabaseAwayError
from service.api.problems import Problem, as_problem
from service.embedding import QueueFullError, ShuttingDownError

if TYPE_CHECKING:
    from service.access.database import JobBoard, Posted

State = Literal["waiting", "running", "done", "failed"]
_KEPT = 1000
_MOST_WAITING = 100
TELL_SECONDS = 10.0
_TIMES = ("created_at", "started_at", "ended_at")
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
    """Its methods may wait for a database: call them on a thread."""

    def __init__(self, before: Callable[[], None] = lambda: None, board: JobBoard | None = None) -> None:
        """before: what is called before each job, which is not begun if that raises. board: where replicas tell."""
        self._before, self._board = before, board
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._untold: set[str] = set()
        self._lock = threading.Lock()
        self._telling = threading.Lock()  # so that what is told last is the last state
        self._pool = ThreadPoolExecutor(1, "jobs")
        self._closed = False

    @property
    def shared(self) -> bool:
        """Whether other replicas are told of jobs."""
        return self._board is not None

    def start(self, kind: str, gallery: str | None, work: Callable[[], dict[str, Any]]) -> Job:
        """Takes the work in; its result must be what JSON can hold. Where nobody could be told of it, it is not."""
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
        if self._board is not None:
            try:
                self._board.post(job.id, _written(job), ended=False)
            except DatabaseAwayError:
                with self._lock:
                    del self._jobs[job.id]
                raise
        self._pool.submit(self._run, job.id, work)
        return job

    def get(self, id: str) -> Job | None:
        with self._lock:
            mine = self._jobs.get(id)
        if mine is not None or self._board is None:
            return mine
        posted = self._board.get(id)
        return None if posted is None else _read(posted)

    def list(self) -> tuple[Job, ...]:
        """The latest first."""
        with self._lock:
            mine = dict(reversed(self._jobs.items()))
        if self._board is None:
            return tuple(mine.values())
        others = {job.id: job for job in map(_read, self._board.list())}
        return tuple(sorted((others | mine).values(), key=lambda job: job.created_at, reverse=True))

    def tell(self) -> None:
        """Tells other replicas that this one lives, and what they could not be told when it was so."""
        if self._board is not None:
            with self._lock:
                untold = list(self._untold)
            for id in untold:
                self._post(id)
            self._board.beat()

    def close(self) -> None:
        """Finishes the job that runs; those that wait are given up."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._board is not None:
            given_up = Problem("shutting-down", "the service was stopped before the job began: ask for it anew")
            with self._lock:
                waiting = [job.id for job in self._jobs.values() if job.state == "waiting"]
            for id in waiting:
                self._change(id, state="failed", problem=given_up.members(), ended_at=datetime.now(UTC))

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
            if self._board is None:
                return
            self._untold.add(id)
        try:
            self._post(id)
        except DatabaseAwayError as error:  # `tell` does it later
            log.warning("other replicas could not be told of job %s: %s", id, error)

    def _post(self, id: str) -> None:
        assert self._board is not None
        with self._telling:
            with self._lock:
                job = self._jobs.get(id)
            if job is not None:
                self._board.post(id, _written(job), ended=job.ended_at is not None)
            with self._lock:
                if self._jobs.get(id) is job:  # else there is more to tell already
                    self._untold.discard(id)


def _written(job: Job) -> dict[str, Any]:
    told = {each.name: getattr(job, each.name) for each in fields(job)}
    return told | {name: None if told[name] is None else told[name].isoformat() for name in _TIMES}


def _read(posted: Posted) -> Job:
    told = posted.told
    times = {name: None if told[name] is None else datetime.fromisoformat(told[name]) for name in _TIMES}
    job = Job(**told | times)
    if not posted.lost:
        return job
    gone = Problem("shutting-down", "the replica that had it has not been heard of for a minute: ask for it anew")
    return replace(job, state="failed", problem=gone.members())
