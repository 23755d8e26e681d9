"""What stands in requests, and how replies are read: both clients, replies made up."""

from __future__ import annotations

import inspect
import io
import json
import subprocess
import sys
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest

import service.client
from service.client import (
    AsyncClient,
    BadCallError,
    BusyError,
    Client,
    ConflictError,
    Filter,
    ForbiddenError,
    NewItem,
    NotFoundError,
    ServiceError,
    UnauthorizedError,
)

EMPTY = httpx.Response(200, json={"feedback": []})


@pytest.fixture
def asked(make):
    """A client of any options, and the requests that it made."""

    def made(url="http://there", answer=EMPTY, **options):
        requests = []

        def reply(request):
            requests.append(request)
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

        return make(url, transport=httpx.MockTransport(reply), patience=0, **options), requests

    return made


def test_importing_it_brings_nothing_of_what_serves():
    code = (
        "import sys, service.client\n"
        "print([n for n in ('fastapi', 'starlette', 'onnxruntime', 'faiss', 'numpy', 'PIL') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_public_names_exist_and_both_clients_can_do_the_same():
    assert all(hasattr(service.client, name) for name in service.client.__all__)

    def methods(kind):
        found = {name: value for name, value in vars(kind).items() if inspect.isfunction(value) and name[0] != "_"}
        del found["add_many"]  # whose rows may come otherwise
        return {name: (list(inspect.signature(value).parameters), value.__doc__) for name, value in found.items()}

    both = methods(Client)
    assert {name: parameters for name, (parameters, _) in both.items()} == {
        name: parameters for name, (parameters, _) in methods(AsyncClient).items()
    }
    assert all(words for name, (_, words) in both.items() if name != "close")
    assert list(inspect.signature(Client.search).parameters)[:3] == ["self", "gallery", "image"]
    assert list(inspect.signature(Client.wait).parameters) == ["self", "job", "seconds"]


def test_an_address_may_have_a_prefix(asked):
    for url in ("http://there/behind/it", "http://there/behind/it/"):
        client, requests = asked(url)
        client.feedback("g")
        assert str(requests[0].url) == "http://there/behind/it/v1/galleries/g/feedback"
    client, requests = asked("there:8000")
    client.feedback("g")
    assert str(requests[0].url) == "http://there:8000/v1/galleries/g/feedback"


@pytest.mark.parametrize(
    "url", ["ftp://there", "http://", "http://there:x", "", "http://u:p@there", "http://there?x=1"]
)
def test_what_is_no_address_is_refused(make, url):
    with pytest.raises(BadCallError, match="the service's address"):
        make(url)


def test_key_and_purpose_go_along_and_the_key_is_never_shown(asked):
    client, requests = asked(key="vk_secret", purpose="Prüfung 7")
    client.feedback("g")
    assert requests[0].headers["Authorization"] == "Bearer vk_secret"
    assert requests[0].headers.raw  # the purpose is sent as the service reads it
    assert dict(requests[0].headers.raw)[b"X-Purpose"] == "Prüfung 7".encode("latin-1")
    assert "secret" not in repr(client)
    for wrong in ({"key": "vk_ü"}, {"key": "a\nb"}, {"key": ""}, {"purpose": "a\r\nX-Api-Key: b"}, {"purpose": "目的"}):
        with pytest.raises(BadCallError, match="cannot stand in a header") as error:
            asked(**wrong)
        assert "vk_" not in str(error.value)


def test_each_part_of_a_path_is_one(asked):
    client, requests = asked(answer=httpx.Response(200, content=b"picture"))
    for id, sent in (("a/b.jpg", "a%2Fb.jpg"), ("..", "%2E%2E"), ("ü %?#", "%C3%BC%20%25%3F%23")):
        client.crop("g", id)
        assert requests[-1].url.raw_path == f"/v1/galleries/g/items/{sent}/crop".encode()
    with pytest.raises(BadCallError, match="is empty"):
        client.crop("g", "")


def test_a_picture_may_be_bytes_a_path_or_a_file(asked, tmp_path):
    (tmp_path / "p.jpg").write_bytes(b"the picture")
    client, requests = asked(answer=httpx.Response(404))
    with (tmp_path / "p.jpg").open("rb") as file:
        for picture in (b"the picture", bytearray(b"the picture"), tmp_path / "p.jpg", str(tmp_path / "p.jpg"), file):
            with pytest.raises(NotFoundError):
                client.embed(picture)
            assert b"\r\n\r\nthe picture\r\n" in requests[-1].read()
    with pytest.raises(FileNotFoundError):
        client.embed(tmp_path / "lost.jpg")
    with pytest.raises(BadCallError, match="mode 'rb'"):
        client.embed(io.StringIO("x"))


def test_a_search_says_only_what_was_given(asked):
    client, requests = asked(answer=httpx.Response(404))
    with pytest.raises(NotFoundError):
        client.search(
            "g",
            item="x",
            top_k=3,
            rerank="off",
            explain=True,
            include=["embedding"],
            filter=Filter(camera_ids=["c1"], time_from=datetime(2026, 5, 1, 12, tzinfo=UTC), metadata={"zone": 4}),
        )
    assert json.loads(requests[0].read()) == {
        "item_id": "x",
        "top_k": 3,
        "rerank": "off",
        "explain": True,
        "include": ["embedding"],
        "filter": {"camera_ids": ["c1"], "time_from": "2026-05-01T12:00:00+00:00", "metadata": {"zone": 4}},
    }
    with pytest.raises(NotFoundError):
        client.search("g", embedding=np.array([1, 0], np.float32), deadline_ms=50)
    assert json.loads(requests[1].read()) == {"embedding": [1, 0], "deadline_ms": 50}


def test_calls_that_cannot_be_right_are_not_sent(asked, tmp_path):
    client, requests = asked()
    for wrong, sentence in (
        (lambda: client.search("g"), "none is given"),
        (lambda: client.search("g", image=b"x", item="x"), "image and item are given"),
        (lambda: client.search("g", images=[]), "give one crop or more"),
        (lambda: client.search("g", images=b"x"), "a list of the crops"),
        (lambda: client.search("g", embedding=[[1, 2]]), "one row of numbers"),
        (lambda: client.delete("g"), "exactly one of ids and filter"),
        (lambda: client.delete("g", ids="cam1"), r"give a list, \['cam1'\]"),
        (lambda: client.add("g", "x"), "exactly one of image and embedding"),
        (lambda: client.add("g", "x", embedding=[1.0], metadata={"a": {1}}), "set is no kind that JSON knows"),
        (lambda: client.add("g", "x", embedding=[float("nan")]), "cannot be written as JSON"),
        (lambda: list(client.items("g", filter=Filter(metadata={"a": 1}))), "an address cannot name metadata"),
        (lambda: list(client.items("g", filter=Filter(persons=[]))), "allows no person at all"),
        (lambda: Filter(camera_ids="c1"), r"give a list, \['c1'\]"),
    ):
        with pytest.raises(BadCallError, match=sentence):
            wrong()
    assert requests == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (412, ConflictError),
        (429, BusyError),
        (503, BusyError),
        (422, ServiceError),
    ],
)
def test_a_problem_becomes_an_error_that_holds_all_of_it(mocked, problem, status, kind):
    client = mocked(lambda request: problem(status, "x-y", "do this", **{"Retry-After": "90"}))
    with pytest.raises(ServiceError, match=rf"do this \({status} x-y, request r1\)") as error:
        client.feedback("g")
    got = error.value
    assert type(got) is kind
    assert (got.sentence, got.type, got.status, got.request_id) == ("do this", "x-y", status, "r1")
    assert got.retry_after == 90


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (httpx.Response(404, text="<h1>Not here</h1>"), "status 404, and not as this service does: is the address"),
        (httpx.Response(301, headers={"Location": "https://there/"}), "it has moved to https://there/"),
        (httpx.Response(200, text="<h1>Welcome</h1>"), "cannot be read as .*FeedbackList.* is this a Vantage service"),
        (httpx.Response(200, json={"other": 1}), r"\(feedback: Field required\)"),
        (httpx.Response(500, headers={"Content-Type": "application/problem+json"}, content=b"{"), "status 500"),
    ],
)
def test_what_is_no_answer_of_this_service_is_told_as_that(mocked, answer, sentence):
    with pytest.raises(ServiceError, match=sentence):
        mocked(lambda request: answer).feedback("g")


def test_what_a_newer_service_says_besides_is_passed_over(mocked):
    told = {"item_id": "x", "verdict": "same", "probe_item_id": "y", "probe_sha256": None, "since": 3}
    (found,) = mocked(lambda request: httpx.Response(200, json={"feedback": [told], "more": 1})).feedback("g")
    assert (found.item_id, found.probe_item_id) == ("x", "y")


def test_rows_say_what_they_are():
    with pytest.raises(BadCallError, match="item 'x': give exactly one"):
        NewItem(id="x")
    with pytest.raises(BadCallError, match="item 'x': give exactly one"):
        NewItem(id="x", image=b"", embedding=[1.0])


def test_pages_are_asked_for_with_all_conditions_and_the_cursor_of_the_page_before(make):
    asked = []

    def answer(request):
        asked.append(request.url.params)
        return httpx.Response(200, json={"items": [], "cursor": "a b&c" if len(asked) == 1 else None})

    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    conditions = Filter(
        camera_ids=["a", "b"],
        exclude_camera_ids=["c"],
        persons=["7"],
        tracklet_ids=["t+1"],
        viewpoints=["front"],
        time_from=noon,
        time_to=noon,
    )
    client = make("http://there", transport=httpx.MockTransport(answer))
    assert list(client.items("g", filter=conditions, vectors=True, page_size=7)) == []
    first, second = (params.multi_items() for params in asked)
    assert first == [
        ("limit", "7"),
        ("vectors", "true"),
        ("camera", "a"),
        ("camera", "b"),
        ("exclude_camera", "c"),
        ("person", "7"),
        ("tracklet", "t+1"),
        ("viewpoint", "front"),
        ("from", "2026-05-01T12:00:00+00:00"),
        ("to", "2026-05-01T12:00:00+00:00"),
    ]
    assert second == [*first, ("cursor", "a b&c")]
