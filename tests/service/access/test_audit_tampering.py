"""Whoever changes the files is found out; what cannot be found without a head kept elsewhere is shown too."""

import json
from datetime import UTC, datetime, timedelta

import pytest

import service.access.audit_trail as trail_module
import service.access.audit_walk as walk_module
from service.access import AuditError, AuditLog, AuditTrail, Event, Head
from service.access.audit_record import START, line_of

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def directory(tmp_path):
    """Three days of four lines, closed."""
    time = [NOON]
    log = AuditLog(tmp_path / "audit", now=lambda: time[0])
    for number in range(12):
        time[0] = NOON + timedelta(days=number // 4)
        log.append(Event(action="search", request_id=f"r{number}", ids=[f"person-{number}"]))
    log.close()
    return log.directory


def lines(directory):
    return [
        (path, number, line)
        for path in sorted(directory.glob("*.jsonl"))
        for number, line in enumerate(path.read_bytes().splitlines(keepends=True))
    ]


def rewrite(path, change):
    held = path.read_bytes().splitlines(keepends=True)
    change(held)
    path.write_bytes(b"".join(held))


def findings(directory, head=None):
    return AuditTrail(directory).verify(head).findings


def heads(directory):
    return [Head(json.loads(line)["sequence"], json.loads(line)["sha256"]) for _, _, line in lines(directory)]


def rechain(directory, start, change=None):
    """Compute everything anew from a line on, as somebody would who may write the files and knows how."""
    held, head = lines(directory), START
    for path in {path for path, _, _ in held}:
        path.write_bytes(b"")
    for position, (path, _, line) in enumerate(held):
        members = json.loads(line)
        head_before = Head(members["sequence"] - 1, members["previous"])
        if position >= start:
            head_before = head
            if position == start and change:
                change(members)
            for name in ("sequence", "previous", "sha256"):
                del members[name]
            line, head = line_of(members, head_before)
        else:
            head = Head(members["sequence"], members["sha256"])
        with path.open("ab") as file:
            file.write(line)
    return head


def test_a_sound_log_is_sound_and_says_its_head(directory):
    report = AuditTrail(directory).verify()
    assert (report.sound, report.lines, report.first, report.torn, report.unfinished) == (True, 12, 1, 0, 0)
    assert report.head == heads(directory)[-1]
    for head in heads(directory):
        assert AuditTrail(directory).verify(Head.parse(str(head))).sound


def test_every_changed_byte_of_every_line_is_found_where_it_is(directory):
    for position, (path, number, line) in enumerate(lines(directory)):
        whole = path.read_bytes()
        offset = whole.index(line)
        for at in [*range(0, len(line), 9), len(line) - 3, len(line) - 1]:
            changed = bytearray(whole)
            changed[offset + at] ^= 1
            path.write_bytes(changed)
            report = AuditTrail(directory).verify()
            last = position == 11 and at == len(line) - 1
            assert not report.sound or (last and report.unfinished), (position, at)
            if report.findings:
                assert any(
                    finding.place in (f"{path.name} line {number + 1}", "the end") for finding in report.findings
                ), report
        path.write_bytes(whole)


def test_a_changed_value_is_one_finding(directory):
    path = lines(directory)[5][0]
    rewrite(path, lambda held: held.__setitem__(1, held[1].replace(b"person-5", b"person-6")))
    (finding,) = findings(directory)
    assert (finding.place, finding.problem) == (
        f"{path.name} line 2",
        "it is not as it was written: changed, damaged or put in",
    )


def test_a_changed_value_with_its_own_hash_made_anew_is_found_at_the_next_line(directory):
    held = lines(directory)
    for position in range(12):
        path, number, line = held[position]
        members = json.loads(line)
        before = Head(members["sequence"] - 1, members["previous"])
        for name in ("sequence", "previous", "sha256"):
            del members[name]
        members["ids"] = ["somebody else"]
        whole = path.read_bytes()
        new, _ = line_of(members, before)
        rewrite(path, lambda lines, number=number, new=new: lines.__setitem__(number, new))
        (finding, *_) = findings(directory)
        if position < 11:
            after, at, _ = held[position + 1]
            assert finding.place == f"{after.name} line {at + 1}"
            assert f"does not follow the line {position + 1} before it" in finding.problem
        else:
            assert "HEAD names another line 12" in finding.problem
        path.write_bytes(whole)


def test_every_removed_line_is_found(directory):
    for position, (path, number, _) in enumerate(lines(directory)):
        whole = path.read_bytes()
        rewrite(path, lambda held, number=number: held.pop(number))
        problems = " ".join(finding.problem for finding in findings(directory))
        expected = "HEAD names line 12" if position == 11 else f"{position + 1} "
        assert expected in problems, (position, problems)
        path.write_bytes(whole)


def test_every_exchange_and_repetition_of_neighbours_is_found(directory):
    for position, (path, number, _) in enumerate(lines(directory)):
        whole = path.read_bytes()
        if number < 3:
            rewrite(path, lambda held, number=number: held.insert(number, held.pop(number + 1)))
            assert any("was moved or repeated" in finding.problem for finding in findings(directory)), position
            path.write_bytes(whole)
        rewrite(path, lambda held, number=number: held.insert(number, held[number]))
        assert any("was moved or repeated" in finding.problem for finding in findings(directory)), position
        path.write_bytes(whole)


def test_a_line_that_was_put_in_is_found(directory):
    for path, number, line in lines(directory):
        whole = path.read_bytes()
        for new in (b"{}\n", b"\n", b"text\n", b"[1]\n", line.replace(b"person", b"PERSON")):
            rewrite(path, lambda held, number=number, new=new: held.insert(number, new))
            assert findings(directory)[0].place == f"{path.name} line {number + 1}"
            path.write_bytes(whole)


def test_missing_files_are_found(directory):
    paths = sorted(directory.glob("*.jsonl"))
    for path, problem in zip(
        paths, ["lines up to 4 are missing", "lines 5 to 8 are missing", "log ends with line 8"], strict=True
    ):
        content = path.read_bytes()
        path.unlink()
        assert problem in " ".join(finding.problem for finding in findings(directory))
        path.write_bytes(content)
    for path in paths:
        path.unlink()
    assert "log ends with line 0" in findings(directory)[0].problem


def test_a_renamed_file_is_found(directory):
    first = min(directory.glob("*.jsonl"))
    first.rename(first.with_name("000000000002-2026-05-01.jsonl"))
    assert "renamed" in findings(directory)[0].problem


def test_a_missing_head_is_found(directory):
    (directory / "HEAD").unlink()
    assert findings(directory)[0].place == "HEAD"
    (directory / "HEAD").write_text("nonsense")
    assert findings(directory)[0].place == "HEAD"


def test_all_written_anew_is_found_only_with_a_head_kept_elsewhere(directory):
    kept = heads(directory)
    head = rechain(directory, 4, lambda members: members.update(ids=["somebody else"]))
    (directory / "HEAD").write_text(str(head))
    assert findings(directory) == ()
    for position, each in enumerate(kept):
        assert bool(findings(directory, each)) == (position >= 4)


def test_an_end_cut_off_together_with_head_is_found_only_with_a_head_kept_elsewhere(directory):
    kept = heads(directory)
    rewrite(max(directory.glob("*.jsonl")), lambda held: held.pop())
    (directory / "HEAD").write_text(str(kept[10]))
    assert findings(directory) == ()
    assert findings(directory, kept[10]) == ()
    assert "the head that was given names line 12" in findings(directory, kept[11])[0].problem


def test_what_was_done_before_a_start_is_still_told_after_it(directory):
    rewrite(max(directory.glob("*.jsonl")), lambda held: held.pop())
    for _ in range(2):
        log = AuditLog(directory, now=lambda: NOON + timedelta(days=2))
        log.append(Event(action="search"))
        log.append(Event(action="search"))
        log.close()
    (finding,) = findings(directory)
    assert "when a service started here, the log did not end with the line 12:" in finding.problem
    (told,) = log.entries(action="shortened")
    assert told.sequence == 12


@pytest.mark.parametrize("everything", [False, True])
def test_a_start_without_head_or_without_files_is_told_of(directory, everything):
    if everything:
        for path in directory.glob("*.jsonl"):
            path.unlink()
    else:
        (directory / "HEAD").unlink()
    log = AuditLog(directory, now=lambda: NOON + timedelta(days=2))
    log.append(Event(action="search"))
    log.close()
    assert any("when a service started here" in finding.problem for finding in findings(directory))


def test_a_last_line_that_was_changed_is_no_torn_line_if_it_was_on_the_disk(directory):
    path = max(directory.glob("*.jsonl"))
    rewrite(path, lambda held: held.__setitem__(3, held[3].replace(b"person-11", b"person-12")))
    AuditLog(directory, now=lambda: NOON + timedelta(days=2)).close()
    assert any("when a service started here" in finding.problem for finding in findings(directory))


def test_another_last_line_than_head_names_is_told_of_after_a_start(directory):
    rechain(directory, 11, lambda members: members.update(ids=["somebody else"]))
    AuditLog(directory, now=lambda: NOON + timedelta(days=2)).close()
    assert any("when a service started here" in finding.problem for finding in findings(directory))


def test_a_torn_piece_belongs_to_its_record(directory):
    path = max(directory.glob("*.jsonl"))
    with path.open("ab") as file:
        file.write(b'{"sequence":13,"prev')
    AuditLog(directory, now=lambda: NOON + timedelta(days=2)).close()
    assert AuditTrail(directory).verify().torn == 1
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'{"sequence":13,"prev\n', b""))
    assert "which is not there any more" in findings(directory)[0].problem
    path.write_bytes(whole.replace(b'{"sequence":13,"prev\n', b'{"sequence":13,"Prev\n'))
    assert "not as it was written" in findings(directory)[0].problem


def test_removed_days_are_told_from_days_that_grew_too_old(directory, tmp_path):
    log = AuditLog(directory, keep_days=2, now=lambda: NOON + timedelta(days=4))
    log.append(Event(action="search"))
    log.close()
    report = AuditTrail(directory).verify()
    assert (report.sound, report.first) == (True, 9)
    # A head of what is gone can still be held against the record, if it is the last of it.
    for head, sound in ((Head(8, json.loads(lines(directory)[0][2])["previous"]), True), (Head(8, "1" * 64), False)):
        assert AuditTrail(directory).verify(head).sound == sound
    assert "not kept any more" in findings(directory, Head(3, "1" * 64))[0].problem
    min(directory.glob("*.jsonl")).unlink()
    assert "no record tells of their removal" in findings(directory)[0].problem


def test_days_that_are_damaged_are_not_removed_before_somebody_looked(directory):
    first = sorted(directory.glob("*.jsonl"))[0]
    first.write_bytes(b"damaged\n")
    AuditLog(directory, keep_days=2, now=lambda: NOON + timedelta(days=3)).close()
    assert first.exists()


def test_lines_with_right_hashes_that_no_service_writes_are_findings_and_no_accident(directory):
    head = AuditTrail(directory).verify().head
    path = max(directory.glob("*.jsonl"))
    for members in (
        {"action": "retention", "parameters": {"through": "x"}},
        {"action": "retention", "parameters": {}},
        {"action": "retention", "parameters": 3},
        {"action": "shortened", "parameters": None},
        {"parameters": 3},
        {"action": "torn"},
        {"action": ["x"], "parameters": {}},
    ):
        line, head = line_of(members, head)
        with path.open("ab") as file:
            file.write(line)
    found = [finding for finding in findings(directory) if "no line that the service writes" in finding.problem]
    assert [finding.place[-6:] for finding in found] == [f"line {number}" for number in range(5, 10)]
    assert len(list(AuditTrail(directory).entries())) == 12


def test_findings_are_bounded(directory, monkeypatch):
    monkeypatch.setattr(walk_module, "MOST_FINDINGS", 3)
    for path in directory.glob("*.jsonl"):
        path.write_bytes(b"x\n" * 50)
    found = findings(directory)
    assert len(found) == 4
    assert "more problems" in found[-1].problem


def test_a_day_that_is_removed_while_it_is_read_is_no_finding(directory, monkeypatch):
    gone = sorted(directory.glob("*.jsonl"))[0]
    through = trail_module._through

    def remove_first(walk, file):
        if file.path == gone and gone.exists():
            log = AuditLog(directory, keep_days=2, now=lambda: NOON + timedelta(days=3))
            log.close()
            assert not gone.exists()
        through(walk, file)

    monkeypatch.setattr(trail_module, "_through", remove_first)
    report = AuditTrail(directory).verify()
    assert (report.sound, report.first) == (True, 5)


@pytest.mark.parametrize("text", ["", "12", "12:xyz", "x:" + "0" * 64, "-1:" + "0" * 64, "1:" + "0" * 65])
def test_a_head_that_is_none_is_a_sentence(text):
    with pytest.raises(AuditError, match="give what `vantage audit verify` printed"):
        Head.parse(text)
