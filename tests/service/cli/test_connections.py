import asyncio
import socket
import threading

import pytest
import uvicorn

from service.cli import connections
from service.cli.connections import ImpatientProtocol

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


class Slow:
    """Answers once it may."""

    def __init__(self) -> None:
        self.asked, self.may_answer = threading.Event(), threading.Event()

    async def __call__(self, scope, receive, send):
        self.asked.set()
        await asyncio.to_thread(self.may_answer.wait)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    return Slow()


@pytest.fixture
def address(slow):
    server = uvicorn.Server(uvicorn.Config(slow, http=ImpatientProtocol, ws="none", lifespan="off", log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield listening.getsockname()
        slow.may_answer.set()
        server.should_exit = True
        thread.join()


def connect(address):
    connection = socket.create_connection(address)
    connection.settimeout(60)
    return connection


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: he"])
def test_who_does_not_end_the_head_of_a_request_is_cut_off(address, sent):
    with connect(address) as connection:
        connection.sendall(sent)
        assert connection.recv(1) == b""


def test_who_does_not_end_the_second_request_is_cut_off_too(address, slow):
    slow.may_answer.set()
    with connect(address) as connection:
        connection.sendall(REQUEST)
        answer = b""
        while not answer.endswith(b"ok"):
            answer += connection.recv(1000)
        connection.sendall(b"GET / HT")
        assert connection.recv(1) == b""


def test_an_answer_may_take_longer_than_a_head(address, slow):
    with connect(address) as waiting, connect(address) as silent:
        waiting.sendall(REQUEST)
        assert slow.asked.wait(60)
        with connect(address) as later:
            assert silent.recv(1) == b""
            assert later.recv(1) == b""  # it came after the request, whose patience would be over as well
        slow.may_answer.set()
        assert waiting.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_keep_alive_connection_is_not_kept_by_empty_lines(address, slow):
    slow.may_answer.set()
    with connect(address) as connection:
        connection.sendall(REQUEST)
        answer = b""
        while not answer.endswith(b"ok"):
            answer += connection.recv(1000)
        connection.sendall(b"\r\n\r\n")
        assert connection.recv(1) == b""


LONG = b"x" * (connections.HEAD_BYTES + 1)
HEADS = {
    "address": b"GET /" + LONG + b" HTTP/1.1\r\nHost: here\r\n\r\n",
    "header": b"GET / HTTP/1.1\r\nHost: here\r\nX: " + LONG + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"X: 12345678\r\n" * 4000 + b"\r\n",
    "header without an end": b"GET / HTTP/1.1\r\nX: " + LONG,
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_head_that_is_too_large_is_refused(address, slow, head):
    with connect(address) as connection:
        connection.sendall(head)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")
    assert not slow.asked.is_set()


def test_a_large_body_is_no_large_head(address, slow):
    slow.may_answer.set()
    with connect(address) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % (4 * len(LONG)) + 4 * LONG)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
