"""Waiting until the service is ready, or a job has ended: as plans too."""

from __future__ import annotations

import httpx

from service.client.answers import Job, Readiness
from service.client.calls import Reply
from service.client.errors import BusyError, JobFailedError, ServiceError, UnreachableError
from service.client.galleries import job as ask_job
from service.client.galleries import readyz
from service.client.problems import error_of
from service.client.retrying import Attempt, Pause, Plan, Retrying, unreachable

_EVERY = 0.5
_LONGEST = 2.0


def ready(retrying: Retrying) -> Plan[Readiness]:
    """Whether the service answers requests, asked once; UnreachableError where nobody says anything."""
    call = readyz()
    try:
        reply: Reply = yield Attempt(call)
    except httpx.TransportError as error:
        raise unreachable(retrying.address, call, error) from error
    if reply.status == 200:
        return call.read(reply)
    failure = error_of(retrying.address, call, reply)
    if isinstance(failure, BusyError):
        return Readiness(ready=False, reason=failure.sentence)
    raise failure


def wait_until_ready(retrying: Retrying, seconds: float = 60.0) -> Plan[None]:
    """Until the service is there and answers requests; after so many seconds the last reason why not is raised."""
    until = retrying.clock() + seconds
    while True:
        failure: ServiceError
        try:
            found = yield from ready(retrying)
        except UnreachableError as error:
            failure = error
        else:
            if found.ready:
                return
            failure = BusyError(f"{retrying.address} is not ready after {seconds:g} s: {found.reason}", status=503)
        if retrying.clock() + _EVERY > until:
            raise failure
        yield Pause(_EVERY)


def wait(retrying: Retrying, job: Job | str, seconds: float = 3600.0) -> Plan[Job]:
    """The job once it is done. JobFailedError: what the job's problem says. After so many seconds a ServiceError says
    that it still runs, and it goes on running."""
    until = retrying.clock() + seconds
    pause = _EVERY / 8
    while True:
        found = yield from retrying.plan(ask_job(job if isinstance(job, str) else job.id))
        if found.state == "failed":
            told = found.problem or {}
            raise JobFailedError(
                f"the {found.kind} failed: {told.get('detail', 'nobody knows why')}",
                type=told.get("type"),
                status=told.get("status"),
            )
        if found.ended:
            return found
        if retrying.clock() + pause > until:
            raise ServiceError(f"the {found.kind} {found.id} is still {found.state} after {seconds:g} s, and goes on")
        yield Pause(pause)
        pause = min(2 * pause, _LONGEST)
