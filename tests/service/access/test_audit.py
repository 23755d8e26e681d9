"""What is appended, when it is on the disk, and what becomes of a process's last line."""

import errno
import hashlib
import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

import service.access.audit as audit_module
from service.access import AuditError, AuditLockedError, AuditLog, AuditTrail, Event, Head

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
def open_log(tmp_path, clock):
    opened = []

    def open_(**others):
        log = AuditLog(tmp_path / "audit", now=clock, flush_ms=others.pop("flush_ms", 3_600_000), **others)
        opened.append(log)
        return log

    yield open_
    for log in opened:
        log.close()


@pytest.fixture
def log(open_log):
    return open_log()


def day_files(log):
    return sorted(path for path in log.directory.iterdir() if path.suffix == ".jsonl")


def kill(log):
    """What is left when the process is stopped: the files as they are, and no lock."""
    log._broken = "the process is gone"
    log._closing.set()
    log._dirty.set()
    log._flusher.join()
    for descriptor in (log._file, log._noted, log._held):
        if descriptor >= 0:
            os.close(descriptor)


def test_files_are_their_owners_alone(log):
    log.append(Event(action="search"))
    assert stat.S_IMODE(log.directory.stat().st_mode) == 0o700
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in log.directory.iterdir()}
    assert names == {"HEAD": 0o600, "LOCK": 0o600, "000000000001-2026-05-01.jsonl": 0o600}


def test_one_process_writes_and_others_read(log, open_log):
    log.append(Event(action="search"))
    with pytest.raises(AuditLockedError, match=f"process {os.getpid()}"):
        open_log()
    assert AuditTrail(log.directory).verify().lines == 1
    log.close()
    assert open_log().append(Event(action="search")).sequence == 2


@pytest.fixture
def synced(monkeypatch):
    """Which files were waited for, and how long they were then."""
    seen = []
    fsync = os.fsync

    def note(descriptor):
        fsync(descriptor)
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            seen.append(status.st_size)

    monkeypatch.setattr(audit_module.os, "fsync", note)
    return seen


def test_a_write_is_on_the_disk_before_it_is_acknowledged_and_a_search_is_not_waited_for(log, synced):
    log.append(Event(action="search"))
    assert synced == []
    log.append(Event(action="delete"), durable=True)
    assert synced == [day_files(log)[0].stat().st_size]
    assert (log.directory / "HEAD").read_text() == f"{2:020}:{log.head.sha256}\n"


def test_the_flusher_takes_searches_to_the_disk_by_itself(open_log, monkeypatch):
    taken = threading.Event()
    log = open_log(flush_ms=0)
    noted = log._note
    monkeypatch.setattr(log, "_note", lambda head: (noted(head), taken.set()))
    log.append(Event(action="search"))
    assert taken.wait(60)
    assert (log.directory / "HEAD").read_text() == f"{1:020}:{log.head.sha256}\n"


def test_threads_that_wait_share_one_wait(log, monkeypatch):
    entered, go, calls = threading.Event(), threading.Event(), []

    def slow(_):
        calls.append(1)
        entered.set()
        assert go.wait(60)

    log.append(Event(action="add"), durable=True)
    monkeypatch.setattr(audit_module.os, "fsync", slow)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(log.append, Event(action="add"), durable=True)
        assert entered.wait(60)
        others = [pool.submit(log.append, Event(action="add"), durable=True) for _ in range(8)]
        while log.head.sequence < 10:
            pass
        go.set()
        assert sorted(each.result().sequence for each in [first, *others]) == list(range(2, 11))
    assert len(calls) == 2  # one for the first, one for all the others


def test_a_file_a_day_and_one_chain(log, clock):
    for days in (0, 0, 1, 5, 4):  # a clock may also be put back
        clock.time = NOON + timedelta(days=days)
        log.append(Event(action="search", request_id=f"day {days}"))
    assert [path.name for path in day_files(log)] == [
        "000000000001-2026-05-01.jsonl",
        "000000000003-2026-05-02.jsonl",
        "000000000004-2026-05-06.jsonl",
        "000000000005-2026-05-05.jsonl",
    ]
    assert log.verify().sound
    asked = log.entries(since=NOON + timedelta(days=1), until=NOON + timedelta(days=5))
    assert [entry.request_id for entry in asked] == ["day 1", "day 4"]


def test_it_goes_on_after_a_kill_at_every_byte_of_a_line(open_log):
    log = open_log()
    log.append(Event(action="add", request_id="one"))
    log.append(Event(action="add", request_id="two"), durable=True)
    log.append(Event(action="search", request_id="three"))
    kill(log)
    path = day_files(log)[0]
    whole = path.read_bytes()
    two = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    noted = (log.directory / "HEAD").read_bytes()
    for length in range(two, len(whole) + 1):
        path.write_bytes(whole[:length])
        (log.directory / "HEAD").write_bytes(noted)
        piece = length - two if length < len(whole) - 1 else 0
        before = AuditTrail(log.directory).verify()
        assert before.sound
        assert before.unfinished == piece
        again = open_log()
        again.append(Event(action="add", request_id="four"))
        again.close()
        report = again.verify()
        assert report.sound, (length, report)
        assert (report.torn, report.unfinished) == (int(piece > 0), 0)
        read = list(again.entries())
        middle = ["two", None, "four"] if piece else (["two", "three", "four"] if length > two else ["two", "four"])
        assert [entry.request_id for entry in read] == ["one", *middle]
        if piece:
            assert read[2].action == "torn"
            left = whole[two:length]
            assert read[2].parameters == {"bytes": piece, "sha256": hashlib.sha256(left).hexdigest()}
            assert left in path.read_bytes()  # set aside, not cut


@pytest.mark.parametrize("rest", [b"\0" * 500, b"\n", b"\n\n", b"x\ny\n", b"x\n\ny", b"\n\nx", b"{}\n", b'{"a":1}'])
def test_whatever_a_loss_of_power_left_is_set_aside(open_log, rest):
    log = open_log()
    log.append(Event(action="add", request_id="one"), durable=True)
    kill(log)
    with day_files(log)[0].open("ab") as file:
        file.write(rest)
    again = open_log()
    again.append(Event(action="add", request_id="two"))
    report = again.verify()
    assert report.sound, report
    assert (report.torn, report.lines) == (1, 3)


def test_a_kill_while_the_torn_line_is_told_of_is_told_of_too(open_log):
    log = open_log()
    log.append(Event(action="add"), durable=True)
    log.append(Event(action="add"))
    kill(log)
    path = day_files(log)[0]
    path.write_bytes(path.read_bytes()[:-20])
    kill(open_log())
    whole, start = path.read_bytes(), path.read_bytes().rindex(b"\n", 0, -1) + 1
    noted = f"{1:020}:{json.loads(whole.splitlines()[0])['sha256']}\n"
    for length in range(start - 1, len(whole), 7):
        path.write_bytes(whole[:length])
        (log.directory / "HEAD").write_text(noted)
        again = open_log()
        again.close()
        assert again.verify().sound, length
        assert again.verify().torn == 1


def test_a_day_that_was_begun_and_not_written_in_is_begun_again(open_log, clock):
    log = open_log()
    log.append(Event(action="add"), durable=True)
    kill(log)
    (log.directory / "000000000002-2026-05-02.jsonl").touch()
    clock.time += timedelta(days=3)
    again = open_log()
    again.append(Event(action="add"))
    assert [path.name for path in day_files(again)] == [
        "000000000001-2026-05-01.jsonl",
        "000000000002-2026-05-04.jsonl",
    ]
    assert again.verify().sound


def test_a_torn_first_line_of_a_day(open_log, clock):
    log = open_log()
    log.append(Event(action="add"), durable=True)
    clock.time += timedelta(days=1)
    log.append(Event(action="add"))
    kill(log)
    path = day_files(log)[1]
    path.write_bytes(path.read_bytes()[:30])
    assert AuditTrail(log.directory).verify().unfinished == 30
    clock.time += timedelta(days=1)
    again = open_log()
    again.append(Event(action="add", request_id="on"))
    assert again.verify().sound
    assert [entry.action for entry in again.entries(since=clock.time)] == ["torn", "add"]


def test_a_full_disk_refuses_and_leaves_no_half_line(log, monkeypatch):
    log.append(Event(action="add", request_id="one"), durable=True)
    write, room = os.write, [40]

    def full(descriptor, content):
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, content[: room[0]])
        room[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(audit_module.os, "write", full)
        with pytest.raises(AuditError, match=r"No space left.*nothing was recorded or done"):
            log.append(Event(action="add", request_id="two"))
    assert log.append(Event(action="add", request_id="three")).sequence == 2
    report = log.verify()
    assert (report.sound, report.lines, report.torn) == (True, 2, 0)


def test_after_the_disk_failed_to_take_something_nothing_more_is_taken(log, monkeypatch):
    log.append(Event(action="add"))

    def failing(_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(audit_module.os, "fsync", failing)
        with pytest.raises(AuditError, match="Input/output error"):
            log.append(Event(action="add"), durable=True)
    for durable in (False, True):
        with pytest.raises(AuditError, match="the disk did not take what was written"):
            log.append(Event(action="add"), durable=durable)


def test_a_closed_log_takes_nothing_and_has_all_on_the_disk(log):
    log.append(Event(action="search"))
    log.close()
    log.close()
    assert (log.directory / "HEAD").read_text().startswith(f"{1:020}:")
    with pytest.raises(AuditError, match="it is closed"):
        log.append(Event(action="search"))


def test_a_directory_that_cannot_be_one_is_a_sentence(tmp_path):
    (tmp_path / "audit").touch()
    with pytest.raises(AuditError, match="cannot be written"):
        AuditLog(tmp_path / "audit")
    with pytest.raises(AuditError, match="there is no audit log"):
        AuditTrail(tmp_path / "none").verify()


def test_what_is_older_than_is_kept_goes_with_a_record_of_it(open_log, clock):
    log = open_log(keep_days=2)
    for days in range(6):
        clock.time = NOON + timedelta(days=days)
        log.append(Event(action="search", ids=[f"person of day {days}"]))
    assert [path.name[-16:-6] for path in day_files(log)] == ["2026-05-04", "2026-05-05", "2026-05-06"]
    report = log.verify()
    assert report.sound, report
    assert report.first > 1
    told = list(log.entries(action="retention"))
    assert told[-1].parameters["files"][0].endswith("2026-05-03.jsonl")
    assert Head.parse(told[-1].parameters["through"]).sequence == report.first - 1
    assert "day 2" not in "".join(path.read_text() for path in day_files(log))


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
