"""What holds of the audit log wherever it is kept: what is appended, what is read, and what goes when it is old."""

import hashlib
import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest

import service.access.homes as homes_module
from service.access import AuditError, AuditLog, Event, Head, KeyStore

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.time = NOON

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def open_log(open_a_home, home_url, clock, monkeypatch):
    if home_url is None:
        monkeypatch.setattr(homes_module, "AuditLog", partial(AuditLog, now=clock, flush_ms=3_600_000))
    else:
        import service.access.database as database_module

        at_a_time = partial(database_module.DatabaseAuditLog, now=clock)
        monkeypatch.setattr(database_module, "DatabaseAuditLog", at_a_time)
    opened = []

    def open_(keep_days=0):
        opened.append(open_a_home().audit(keep_days))
        return opened[-1]

    yield open_
    for log in opened:
        log.close()


@pytest.fixture
def log(open_log):
    return open_log()


@pytest.fixture
def raw_lines(tmp_path, home_url):
    """The lines as they are kept."""

    def read():
        if home_url is None:
            files = sorted((tmp_path / "access" / "audit").glob("*.jsonl"))
            return [line for file in files for line in file.read_bytes().splitlines()]
        from sqlalchemy import text

        from service.access.database import Database

        database = Database(home_url)
        with database.reading() as connection:
            lines = connection.scalars(text("SELECT line FROM vantage_audit ORDER BY position")).all()
        database.close()
        return [line.encode() for line in lines]

    return read


def test_an_event_is_read_as_it_was_told(log, tmp_path, raw_lines):
    store = KeyStore(tmp_path / "keys.sqlite")
    key, secret = store.create(["search"], name="Gate 3", purpose="Lost children")
    store.close()
    log.append(
        Event(
            action="search",
            request_id="r1",
            key=key,
            client="10.0.0.7",
            gallery="g",
            parameters={"filter": {"cameras": ["ü", "\ud800"]}, "top_k": 5, "lam": 0.3},
            ids=["a", "b"],
        )
    )
    log.append(Event(action="delete", outcome="not-found", purpose="Erasure 12", key=key))
    first, second = log.entries()
    assert (first.sequence, first.at, first.action, first.outcome) == (1, NOON, "search", "ok")
    assert (first.request_id, first.key_id, first.key_name, first.client) == ("r1", key.id, "Gate 3", "10.0.0.7")
    assert (first.purpose, first.gallery, first.ids) == ("Lost children", "g", ("a", "b"))
    assert first.parameters == {"filter": {"cameras": ["ü", "\ud800"]}, "top_k": 5, "lam": 0.3}
    assert (second.purpose, second.outcome, second.ids) == ("Erasure 12", "not-found", ())
    assert log.verify().sound
    assert secret.split("_")[2].encode() not in b"".join(raw_lines())


def test_a_line_is_checked_as_the_documentation_says(log, raw_lines):
    head = log.append(Event(action="search", ids=["a"]))
    log.append(Event(action="search", ids=["b"]))
    first, second = raw_lines()
    body = first.replace(b',"sha256":"' + head.sha256.encode() + b'"', b"")
    assert hashlib.sha256(body).hexdigest() == head.sha256 == json.loads(second)["previous"]
    assert json.loads(first)["previous"] == "0" * 64


@pytest.mark.parametrize(
    "parameters",
    [
        {"image": b"\xff\xd8"},
        {"embedding": np.zeros(4, np.float32)},
        {"query": {"embedding": [0.1] * 128}},
        {"vectors": [[0.1] * 128]},
        {"x": float("nan")},
        {"x": object()},
    ],
)
def test_pictures_and_vectors_are_refused_and_leave_nothing(log, parameters):
    with pytest.raises(AuditError):
        log.append(Event(action="search", parameters=parameters))
    assert log.append(Event(action="search")).sequence == 1
    assert log.verify().sound


def test_keys_are_blotted_out_wherever_somebody_put_them(log, raw_lines):
    secret = "vk_12345678_" + "ab" * 32
    log.append(Event(action="search", purpose=f"Bearer {secret}", parameters={"filter": {"persons": [secret]}}))
    text = b"".join(raw_lines()).decode()
    assert "abab" not in text
    assert text.count("vk_12345678_...") == 2
    assert log.verify().sound


@pytest.mark.parametrize("action", ["torn", "shortened", "retention"])
def test_what_the_log_itself_tells_nobody_else_may_tell(log, action):
    with pytest.raises(AuditError, match="only the log itself"):
        log.append(Event(action=action))


def test_many_threads_make_one_chain(log):
    def append(thread):
        return [
            log.append(Event(action="add", request_id=f"{thread}-{number}"), durable=number % 10 == 0).sequence
            for number in range(50)
        ]

    with ThreadPoolExecutor(6) as pool:
        given = [sequence for sequences in pool.map(append, range(6)) for sequence in sequences]
    assert sorted(given) == list(range(1, 301))
    assert len({entry.request_id for entry in log.entries()}) == 300
    assert log.verify().sound
    assert log.verify().lines == 300


def test_entries_by_key_gallery_and_action(log, tmp_path):
    store = KeyStore(tmp_path / "keys.sqlite")
    key, _ = store.create(["search"], name="a")
    store.close()
    log.append(Event(action="search", key=key, gallery="g"))
    log.append(Event(action="add", key=key, gallery="h"))
    log.append(Event(action="search", gallery="h"))
    assert [entry.sequence for entry in log.entries(key=key.id)] == [1, 2]
    assert [entry.sequence for entry in log.entries(gallery="h")] == [2, 3]
    assert [entry.sequence for entry in log.entries(action="search", gallery="h")] == [3]


def test_nothing_that_was_acknowledged_is_lost_by_kill_9(tmp_path, home_url, open_a_home):
    code = (
        "import os, sys; from pathlib import Path; from service.access import Event, open_home\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "log = open_home(Path(sys.argv[1]), sys.argv[2] or None).audit(0)\n"
        "def write(thread):\n"
        "    for number in range(100000):\n"
        "        log.append(Event(action='add', request_id=f'{thread}-{number}', ids=['x' * 100] * 50), durable=True)\n"
        "        os.write(1, f'{thread}-{number}\\n'.encode())\n"
        "with ThreadPoolExecutor(3) as pool: list(pool.map(write, range(3)))"
    )
    for _ in range(2):
        arguments = [sys.executable, "-c", code, str(tmp_path), home_url or ""]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
        acknowledged = [process.stdout.readline() for _ in range(40)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.read().splitlines(keepends=True)
        process.wait()
        process.stdout.close()
        told = {line.decode().strip() for line in acknowledged if line.endswith(b"\n")}
        assert len(told) >= 40
        log = open_a_home().audit(0)
        log.close()
        assert log.verify().sound
        assert told <= {entry.request_id for entry in log.entries()}


def test_without_a_term_everything_stays(open_log, clock):
    log = open_log(keep_days=0)
    log.append(Event(action="search"))
    clock.time += timedelta(days=10_000)
    log.append(Event(action="search"))
    log.retain()
    assert [entry.sequence for entry in log.entries()] == [1, 2]


def test_a_closed_log_takes_nothing(log):
    log.append(Event(action="search"))
    log.close()
    log.close()
    with pytest.raises(AuditError, match="closed"):
        log.append(Event(action="search"))
    assert [entry.sequence for entry in log.entries()] == [1]


def test_entries_between_two_times(log, clock):
    for days in (0, 0, 1, 5, 4):  # a clock may also be put back
        clock.time = NOON + timedelta(days=days)
        log.append(Event(action="search", request_id=f"day {days}"))
    asked = log.entries(since=NOON + timedelta(days=1), until=NOON + timedelta(days=5))
    assert [entry.request_id for entry in asked] == ["day 1", "day 4"]
    assert log.verify().sound


def test_what_is_older_than_is_kept_goes_with_a_record_of_it(open_log, clock, raw_lines):
    log = open_log(keep_days=2)
    for days in range(6):
        clock.time = NOON + timedelta(days=days)
        log.append(Event(action="search", ids=[f"person of day {days}"]))
    report = log.verify()
    assert report.sound, report
    assert report.first > 1
    told = list(log.entries(action="retention"))
    assert Head.parse(told[-1].parameters["through"]).sequence == report.first - 1
    text = b"".join(raw_lines()).decode()
    assert [f"of day {days}" in text for days in range(6)] == [False, False, False, True, True, True]


def test_retention_at_start_and_by_hand_after_long_silence(open_log, clock):
    log = open_log(keep_days=2)
    log.append(Event(action="search", ids=["x"]))
    clock.time += timedelta(days=30)
    log.retain()
    log.retain()
    assert [entry.action for entry in log.entries()] == ["retention"]
    log.close()
    clock.time += timedelta(days=30)
    again = open_log(keep_days=2)
    assert [entry.sequence for entry in again.entries()] == [3]
    assert again.verify().sound
    clock.time += timedelta(days=1000)
    again.append(Event(action="search"))
    assert [entry.action for entry in again.entries()] == ["search", "retention"]
    assert again.verify().sound


def test_the_chain_goes_on_after_a_start(open_log):
    log = open_log()
    head = log.append(Event(action="search"))
    log.close()
    again = open_log()
    assert again.append(Event(action="search")).sequence == 2
    assert again.verify(head).sound
    assert not again.verify(Head(1, "1" * 64)).sound
