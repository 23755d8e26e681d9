"""What is asked again and what is not, in made-up time; both clients."""

from __future__ import annotations

import inspect
import ssl

import httpx
import pytest

from service.client import BusyError, Client, Filter, NewItem, ServiceError, UnreachableError

READY = httpx.Response(200, json={"feedback": []})

# How each call is made, and whether it may be asked twice where the first answer was lost.
CALLS = {
    "version": (lambda client: client.version(), True),
    "search": (lambda client: client.search("g", image=b"x"), True),
    "search by item": (lambda client: client.search("g", item="x"), True),
    "embed": (lambda client: client.embed(b"x"), True),
    "add": (lambda client: client.add("g", "x", image=b"x"), True),
    "add if absent": (lambda client: client.add("g", "x", image=b"x", only_if_absent=True), False),
    "add_many": (lambda client: client.add_many("g", [NewItem(id="x", image=b"x")]), True),
    "add_many refusing": (
        lambda client: client.add_many("g", [NewItem(id="x", image=b"x")], on_conflict="refuse"),
        False,
    ),
    "get": (lambda client: client.get("g", "x"), True),
    "crop": (lambda client: client.crop("g", "x"), True),
    "items": (lambda client: list(client.items("g")), True),
    "delete": (lambda client: client.delete("g", ids=["x"]), True),
    "delete by filter": (lambda client: client.delete("g", filter=Filter(persons=["7"])), False),
    "delete dry": (lambda client: client.delete("g", filter=Filter(persons=["7"]), dry_run=True), True),
    "galleries": (lambda client: client.galleries(), True),
    "gallery": (lambda client: client.gallery("g"), True),
    "create": (lambda client: client.create("g"), False),
    "drop": (lambda client: client.drop("g"), False),
    "compact": (lambda client: client.compact("g"), False),
    "verify": (lambda client: client.verify("g"), False),
    "give_feedback": (lambda client: client.give_feedback("g", "x", "same", probe_item_id="y"), True),
    "withdraw_feedback": (lambda client: client.withdraw_feedback("g", "x", probe_item_id="y"), False),
    "feedback": (lambda client: client.feedback("g"), True),
    "take_snapshot": (lambda client: client.take_snapshot("g"), False),
    "snapshots": (lambda client: client.snapshots("g"), True),
    "restore": (lambda client: client.restore("g", "s"), False),
    "delete_snapshot": (lambda client: client.delete_snapshot("g", "s"), False),
    "job": (lambda client: client.job("j"), True),
    "jobs": (lambda client: client.jobs(), True),
}


class Script:
    """Answers in turn; the last one again and again."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_every_call_of_the_client_stands_in_the_table():
    names = {name for name, value in vars(Client).items() if inspect.isfunction(value) and not name.startswith("_")}
    asked_otherwise = {"close", "ready", "wait_until_ready", "wait"}
    assert {name.split(" ")[0] for name in CALLS} == names - asked_otherwise


@pytest.mark.parametrize("name", CALLS)
def test_where_an_answer_is_lost_only_what_may_be_asked_twice_is(mocked, problem, time, name):
    call, may_be_repeated = CALLS[name]
    script = Script(httpx.ReadError("reset"), problem(500, "internal-error"))
    with pytest.raises(ServiceError) as error:
        call(mocked(script))
    if may_be_repeated:
        assert (len(script.asked), error.value.status) == (2, 500)
        assert script.asked[0].read() == script.asked[1].read() or script.asked[0].headers["content-type"].startswith(
            "multipart"
        )
    else:
        assert len(script.asked) == 1
        assert isinstance(error.value, UnreachableError)
        assert "whether it was done is not known" in str(error.value)


@pytest.mark.parametrize("name", ["take_snapshot", "drop", "search"])
def test_a_connection_that_was_refused_may_always_be_tried_again(mocked, problem, name):
    script = Script(httpx.ConnectError("refused"), httpx.ConnectTimeout("late"), problem(500, "internal-error"))
    with pytest.raises(ServiceError, match="a sentence"):
        CALLS[name][0](mocked(script))
    assert len(script.asked) == 3


def test_an_address_where_nobody_ever_answered_is_given_up_soon(mocked, time):
    script = Script(httpx.ConnectError("refused"))
    with pytest.raises(UnreachableError, match=r"http://there does not answer GET .* Nothing was sent"):
        mocked(script, patience=600).feedback("g")
    assert len(script.asked) == 3
    assert time.waits == [0.2, 0.4]


def test_a_service_that_answered_before_is_waited_for_while_it_is_started_anew(mocked, time):
    script = Script(READY, *[httpx.ConnectError("refused")] * 9, READY)
    client = mocked(script, patience=60)
    client.feedback("g")
    assert client.feedback("g") == ()
    assert time.waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5]


def test_patience_ends(mocked, time):
    script = Script(READY, httpx.ReadError("reset"))
    client = mocked(script, patience=10)
    client.feedback("g")
    with pytest.raises(UnreachableError, match="may be asked again without harm"):
        client.feedback("g")
    assert sum(time.waits) == pytest.approx(0.2 + 0.4 + 0.8 + 1.6 + 3.2)  # the next wait would end after it


@pytest.mark.parametrize("name", ["take_snapshot", "search", "drop"])
@pytest.mark.parametrize(("status", "type"), [(429, "queue-full"), (429, "rate-limited"), (503, "not-ready")])
def test_a_busy_service_is_asked_again_when_it_said_so(mocked, problem, time, name, status, type):
    script = Script(problem(status, type, **{"Retry-After": "3"}), problem(500, "internal-error"))
    with pytest.raises(ServiceError, match="500 internal-error"):
        CALLS[name][0](mocked(script))
    assert time.waits == [3]


def test_what_keeps_busy_beyond_all_patience_is_an_error_that_says_when(mocked, problem, time):
    script = Script(problem(429, "queue-full", "too many", **{"Retry-After": "4"}))
    with pytest.raises(BusyError, match="too many") as error:
        mocked(script, patience=10).feedback("g")
    assert (error.value.retry_after, error.value.type, error.value.status) == (4, "queue-full", 429)
    assert time.waits == [4, 4]


def test_nobody_waits_longer_than_patience_for_what_will_come_too_late(mocked, problem, time):
    with pytest.raises(BusyError):
        mocked(Script(problem(503, "not-ready", **{"Retry-After": "60"})), patience=30).feedback("g")
    assert time.waits == []


def test_an_answer_that_is_of_no_use_after_its_deadline_is_not_waited_for(mocked, problem, time):
    script = Script(problem(429, "queue-full", **{"Retry-After": "1"}))
    with pytest.raises(BusyError):
        mocked(script, patience=30).search("g", item="x", deadline_ms=2500)
    assert time.waits == [1, 1]


def test_what_waiting_does_not_mend_is_not_waited_for(mocked, problem, time):
    script = Script(problem(503, "index-corrupt", "restore a snapshot"))
    with pytest.raises(BusyError, match="restore a snapshot"):
        mocked(script).feedback("g")
    assert len(script.asked) == 1


@pytest.mark.parametrize("status", [502, 503])
def test_what_stands_before_the_service_is_like_a_lost_connection(mocked, time, status):
    script = Script(httpx.Response(status, text="<h1>Bad Gateway</h1>"), READY)
    client = mocked(script)
    assert client.feedback("g") == ()
    script.answers.insert(0, httpx.Response(status, text="<h1>Bad Gateway</h1>"))
    with pytest.raises(ServiceError, match=f"status {status}, and not as this service does"):
        client.take_snapshot("g")
    assert len(script.asked) == 3


def test_an_answer_that_takes_too_long_is_not_asked_for_twice(mocked):
    script = Script(httpx.ReadTimeout("late"))
    with pytest.raises(UnreachableError, match="late"):
        mocked(script).search("g", item="x")
    assert len(script.asked) == 1


def test_a_certificate_that_is_not_trusted_is_not_tried_again(mocked):
    error = httpx.ConnectError("certificate verify failed")
    error.__cause__ = OSError()
    error.__cause__.__context__ = ssl.SSLCertVerificationError("certificate verify failed")
    script = Script(READY, error)
    client = mocked(script)
    client.feedback("g")
    with pytest.raises(UnreachableError, match="certificate"):
        client.feedback("g")
    assert len(script.asked) == 2


def test_many_who_were_refused_together_do_not_come_again_together(mocked, problem, time):
    answers = [problem(429, "queue-full", **{"Retry-After": "4"})] * 2
    chances = [0.0, 1.0]
    mocked(Script(*answers, READY), random=lambda: chances.pop(0)).feedback("g")
    assert time.waits == [4, 5]


def test_what_is_refused_is_not_asked_again(mocked, problem):
    for status in (400, 401, 403, 404, 409, 412, 413, 422, 500, 504, 507):
        script = Script(problem(status, "x"))
        with pytest.raises(ServiceError):
            mocked(script).feedback("g")
        assert len(script.asked) == 1, status
