import io
import json
import logging
import threading

import pytest

from service.cli import log_lines
from service.cli.log_lines import GatheredLines, JsonLines


class Told(io.StringIO):
    """Says when something was written, and how often."""

    def __init__(self) -> None:
        super().__init__()
        self.writes, self.written = 0, threading.Event()

    def write(self, text: str) -> int:
        self.writes += 1
        done = super().write(text)
        self.written.set()
        return done


def record(message, level=logging.INFO):
    return logging.LogRecord("vantage", level, __file__, 1, message, None, None)


@pytest.fixture
def stream():
    return Told()


@pytest.fixture
def handler(stream, monkeypatch):
    monkeypatch.setattr(log_lines, "GATHER_SECONDS", 0.2)
    handler = GatheredLines(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    yield handler
    handler.close()


def test_lines_that_come_together_are_written_together_in_their_order(handler, stream):
    for number in range(50):
        handler.handle(record(f"{number}"))
    assert stream.written.wait(60)
    handler.flush()
    assert stream.getvalue().split() == [str(number) for number in range(50)]
    assert stream.writes < 10


def test_a_warning_is_written_at_once_behind_what_came_before_it(handler, stream):
    handler.handle(record("first"))
    handler.handle(record("then", logging.WARNING))
    assert stream.getvalue() == "first\nthen\n"


def test_what_is_told_last_is_written_at_the_end(handler, stream):
    handler.handle(record("last"))
    handler.close()
    assert stream.getvalue() == "last\n"
    handler.handle(record("after"))
    assert stream.getvalue() == "last\nafter\n"


def test_a_stream_that_was_closed_troubles_nobody(handler, stream):
    stream.close()
    handler.handle(record("nobody reads this", logging.ERROR))


def test_no_line_is_lost_when_many_threads_tell(handler, stream):
    threads = [
        threading.Thread(target=lambda: [handler.handle(record("x")) for _ in range(200)], name=f"{n}")
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handler.flush()
    assert stream.getvalue() == "x\n" * 800


def test_a_message_that_is_an_object_gives_the_line_its_fields():
    line = json.loads(JsonLines().format(record('{"status": 200}')))
    assert (line["status"], line["level"], line["logger"]) == (200, "info", "vantage")
    assert json.loads(JsonLines().format(record("{not json")))["message"] == "{not json"


def test_the_process_ends_though_lines_are_waiting(handler, stream):
    handler.handle(record("last"))
    handler.acquire()  # as `logging.shutdown` does
    try:
        handler.flush()
        handler.close()
    finally:
        handler.release()
    assert stream.getvalue() == "last\n"
