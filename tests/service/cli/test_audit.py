import contextlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from service.access import AUDIT_FOLDER, KEYS_FILE, AuditLog, Event, KeyStore, open_home
from service.cli import audit

DIRECTORY = Path("vantage-data") / AUDIT_FOLDER


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """The sub-command alone, in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    for name in os.environ:
        if name.startswith("VANTAGE_"):
            monkeypatch.delenv(name)
    app = typer.Typer()
    app.add_typer(audit.app, name="audit")

    def run_(*arguments):
        code, message = 0, ""
        try:
            app(args=["audit", *map(str, arguments)], prog_name="vantage")
        except SystemExit as left:
            code = left.code or 0
        except ValueError as error:  # the outer command prints it and leaves with 1
            code, message = 1, str(error)
        printed = capsys.readouterr()
        return code, printed.out, printed.err + message

    return run_


@pytest.fixture
def recorded(run):
    """Three events, of now, an hour ago and three days ago; the key's id."""
    store = KeyStore(Path("vantage-data") / KEYS_FILE)
    key, _ = store.create(["search"], name="Gate [3]", purpose="Lost children")
    store.close()
    times = iter([datetime.now(UTC) - timedelta(days=3), datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC)])
    time = [next(times)]
    log = AuditLog(DIRECTORY, now=lambda: time[0])
    log.append(Event(action="add", gallery="g", ids=[f"item {number}" for number in range(8)]))
    time[0] = next(times)
    log.append(Event(action="search", gallery="g", key=key, client="10.0.0.7", parameters={"top_k": 5}, ids=["a"]))
    time[0] = next(times)
    log.append(Event(action="delete", gallery="h", outcome="not-found", purpose="Erasure"))
    log.close()
    return key.id


def test_show_prints_who_did_what(run, recorded):
    code, out, err = run("show")
    assert (code, err) == (0, "")
    header, add, search, delete = out.splitlines()
    assert "outcome" in header
    assert "item 4, ... (8)" in add
    assert "item 5" not in add
    for words in (f"Gate [3] ({recorded})", "10.0.0.7", '{"top_k": 5}', "Lost children", "ok"):
        assert words in search
    assert "not-found" in delete


@pytest.mark.parametrize(
    ("options", "actions"),
    [
        (("--since", "2h"), ["search", "delete"]),
        (("--until", "2h"), ["add"]),
        (("--since", "7d", "--gallery", "g"), ["add", "search"]),
        (("--since", "30m"), ["delete"]),
        (("--action", "search"), ["search"]),
        (("--since", "2999-01-01"), []),
        (("--until", "2999-01-01T00:00:00+01:00"), ["add", "search", "delete"]),
    ],
)
def test_show_as_asked_for_a_line_each(run, recorded, options, actions):
    code, out, _ = run("show", "--json", *options)
    assert code == 0
    assert [json.loads(line)["action"] for line in out.splitlines()] == actions


def test_show_by_key(run, recorded):
    (line,) = run("show", "--key", recorded, "--json")[1].splitlines()
    entry = json.loads(line)
    assert (entry["key_id"], entry["ids"], entry["at"][-1]) == (recorded, ["a"], "Z")
    assert "Nothing of that kind" in run("show", "--key", "00000000")[1]


def test_show_refuses_what_is_no_time(run, recorded):
    for option in ("--since", "--until"):
        code, _, err = run("show", option, "yesterday")
        assert code == 2
        assert "is no time" in err


def test_verify_prints_the_head_that_it_takes_again(run, recorded):
    code, out, err = run("verify")
    assert (code, err) == (0, "")
    assert "audit log: 3 lines, from line 1 on" in out
    assert "All is sound." in out
    head = next(line.split()[1] for line in out.splitlines() if line.startswith("head "))
    assert run("verify", "--head", head)[0] == 0
    assert json.loads(run("verify", "--json")[1])["head"] == head
    code, out, _ = run("verify", "--head", "3:" + "0" * 64)
    assert code == 4
    assert "the head that was given names another line 3" in out
    assert run("verify", "--head", "x")[0] == 1


def test_verify_says_where_it_breaks_and_leaves_with_4(run, recorded):
    path = min(DIRECTORY.glob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"item 3", b"item 9"))
    code, out, _ = run("verify")
    assert code == 4
    assert f"{path.name} line 1: it is not as it was written" in out
    assert "sound" not in out
    code, out, _ = run("verify", "--json")
    assert code == 4
    report = json.loads(out)
    assert report["sound"] is False
    assert report["findings"][0]["place"] == f"{path.name} line 1"


def test_verify_tells_of_torn_lines(run, recorded):
    path = max(DIRECTORY.glob("*.jsonl"))
    with path.open("ab") as file:
        file.write(b'{"sequ')
    assert "6 bytes at the end are of a line that is not finished" in run("verify")[1]
    AuditLog(DIRECTORY).close()
    code, out, _ = run("verify")
    assert code == 0
    assert "1 pieces of lines" in out


def test_without_a_log_there_is_a_sentence_and_none_is_made(run):
    for command in ("verify", "show"):
        code, out, err = run(command)
        assert (code, out) == (1, "")
        assert "there is no audit log in vantage-data" in err
    assert not Path("vantage-data").exists()


def test_an_audit_log_in_a_database(run, monkeypatch, database_url):
    monkeypatch.setenv("VANTAGE_DATABASE", database_url)
    with contextlib.closing(open_home(Path(), database_url)) as home, contextlib.closing(home.audit(0)) as log:
        log.append(Event(action="search", gallery="g", ids=["x"]))
        log.append(Event(action="delete", gallery="g", ids=["x"]))
    code, out, _ = run("verify")
    assert (code, out.splitlines()[0]) == (0, "audit log: 2 lines, from line 1 on")
    assert [json.loads(line)["action"] for line in run("show", "--json")[1].splitlines()] == ["search", "delete"]
    from sqlalchemy import text

    from service.access.database import Database

    with contextlib.closing(Database(database_url)) as database, database.writing() as connection:
        connection.execute(text("DELETE FROM vantage_audit WHERE position = 1"))
    code, out, _ = run("verify")
    assert code == 4
    assert "lines up to 1 are missing" in out
