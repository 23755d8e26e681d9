"""Waiting for the service and for jobs, in made-up time; both clients."""

from __future__ import annotations

import httpx
import pytest

from service.client import BusyError, JobFailedError, ServiceError, UnreachableError


def job(state, **others):
    times = {"created_at": "2026-05-01T12:00:00Z", "started_at": None, "ended_at": None}
    held = {"id": "j1", "kind": "compact", "gallery": "g", "state": state, "progress": None}
    return httpx.Response(200, json=held | times | {"result": None, "problem": None} | others)


def in_turn(*answers):
    left = list(answers)

    def answer(request):
        got = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(got, Exception):
            raise got
        return got

    return answer


def test_readiness_is_told_with_the_reason_why_not(mocked, problem):
    assert mocked(in_turn(httpx.Response(200, json={"status": "ready"}))).ready()
    found = mocked(in_turn(problem(503, "not-ready", "loading galleries"))).ready()
    assert (bool(found), found.reason) == (False, "loading galleries")
    with pytest.raises(UnreachableError):
        mocked(in_turn(httpx.ConnectError("refused"))).ready()
    with pytest.raises(ServiceError, match="not as this service does"):
        mocked(in_turn(httpx.Response(404, text="nothing"))).ready()


def test_a_service_that_is_being_started_is_waited_for(mocked, problem, time):
    refused, loading = httpx.ConnectError("refused"), problem(503, "not-ready", "loading")
    mocked(in_turn(refused, refused, loading, httpx.Response(200))).wait_until_ready()
    assert time.waits == [0.5, 0.5, 0.5]


def test_one_that_does_not_become_ready_is_given_up_with_its_reason(mocked, problem, time):
    with pytest.raises(BusyError, match="not ready after 2 s: loading"):
        mocked(in_turn(problem(503, "not-ready", "loading"))).wait_until_ready(2)
    assert sum(time.waits) == 2
    with pytest.raises(UnreachableError):
        mocked(in_turn(httpx.ConnectError("refused"))).wait_until_ready(2)


def test_a_job_is_waited_for_until_it_is_done(mocked, time):
    done = job("done", result={"purged": 3}, progress=1.0)
    client = mocked(in_turn(job("waiting"), *[job("running")] * 8, done))
    assert client.wait("j1").result == {"purged": 3}
    assert len(time.waits) == 9
    assert time.waits[0] < 0.1
    assert time.waits[-1] == 2


def test_a_job_that_failed_is_an_error_with_its_sentence(mocked):
    problem = {"type": "storage-full", "title": "t", "status": 507, "detail": "the disk is full", "errors": []}
    with pytest.raises(JobFailedError, match="the compact failed: the disk is full") as error:
        mocked(in_turn(job("failed", problem=problem))).wait("j1")
    assert (error.value.type, error.value.status) == ("storage-full", 507)


def test_a_job_that_takes_too_long_goes_on(mocked, time):
    with pytest.raises(ServiceError, match="compact j1 is still running after 5 s, and goes on"):
        mocked(in_turn(job("running"))).wait("j1", seconds=5)
    assert sum(time.waits) <= 5


def test_a_job_is_asked_for_again_like_any_other_call(mocked):
    assert mocked(in_turn(httpx.ReadError("reset"), job("done"))).wait("j1").state == "done"
