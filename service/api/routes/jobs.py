"""Work that takes longer than a request may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from service.api.access import Caller, MayAdministerSome
from service.api.answers import moment
from service.api.documents import answer, problems
from service.api.fields import JobId
from service.api.jobs import Job
from service.api.problems import Problem
from service.api.replies import reply

router = APIRouter(prefix="/v1", tags=["jobs"])


class JobView(BaseModel):
    """A piece of work."""

    id: str
    kind: str
    gallery: str | None
    state: Literal["waiting", "running", "done", "failed"]
    created_at: str
    started_at: str | None
    ended_at: str | None
    progress: float | None = Field(description="0 to 1; null while nobody can say.")
    result: dict[str, Any] | None
    problem: dict[str, Any] | None


class JobList(BaseModel):
    """Jobs since the service was started, or of all replicas that share a database; the latest first."""

    jobs: list[JobView]


JOB_ANSWER: dict[int | str, dict[str, Any]] = {
    202: {"model": JobView} | answer("It was taken in.", ["Location"]),
    **problems(),
}


async def take_in(caller: Caller, kind: str, gallery: str | None, work: Callable[[], dict[str, Any]]) -> Response:
    """The answer to whoever asked for long work."""
    job = await asyncio.to_thread(caller.running.jobs.start, kind, gallery, work)
    return reply(_view(job), 202, {"Location": f"/v1/jobs/{job.id}"})


@router.get("/jobs", operation_id="list_jobs", summary="All jobs", responses={200: {"model": JobList}, **problems()})
async def list_jobs(caller: MayAdministerSome) -> Response:
    """The jobs of galleries that the key may administer, of all replicas."""
    jobs = await asyncio.to_thread(caller.running.jobs.list)
    return reply({"jobs": [_view(job) for job in jobs if _may_see(caller, job)]})


@router.get("/jobs/{job}", operation_id="get_job", summary="A job", responses={200: {"model": JobView}, **problems()})
async def get_job(job: JobId, caller: MayAdministerSome) -> Response:
    """How far it is, and what came of it. Jobs are forgotten when the service ends, unless a database keeps them."""
    found = await asyncio.to_thread(caller.running.jobs.get, job)
    if found is None or not _may_see(caller, found):
        raise Problem("no-such-job", f"there is no job {job!r}: jobs are forgotten when the service ends")
    return reply(_view(found))


def _may_see(caller: Caller, job: Job) -> bool:
    return caller.allows("admin", job.gallery)


def _view(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "gallery": job.gallery,
        "state": job.state,
        "created_at": moment(job.created_at),
        "started_at": moment(job.started_at),
        "ended_at": moment(job.ended_at),
        "progress": job.progress,
        "result": job.result,
        "problem": job.problem,
    }
