"""What replicas share: one chain of all of them, keys that all know, and what becomes of it when the database goes."""

import json
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.access import (
    AuditError,
    DatabaseAwayError,
    DatabaseError,
    Event,
    Head,
    KeyStore,
    KeyStoreError,
    RevokedKeyError,
    open_home,
)
from service.access.audit_record import line_of
from service.access.database_address import check_address, shown

sqlalchemy = pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")
from sqlalchemy import text  # noqa: E402

from service.access.database import Database, DatabaseAuditLog, DatabaseKeys, DatabaseTrail, JobBoard  # noqa: E402
from service.access.database import jobs as jobs_module  # noqa: E402

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(database_url):
    with closing(Database(database_url)) as opened:
        yield opened


@pytest.fixture
def log(database):
    with closing(DatabaseAuditLog(database, now=lambda: NOON)) as opened:
        yield opened


@pytest.fixture
def run_sql(database):
    def run(statement, **values):
        with database.writing() as connection:
            return connection.execute(text(statement), values)

    return run


def lines(database):
    with database.reading() as connection:
        return [
            (position, line.encode())
            for position, line in connection.execute(text("SELECT position, line FROM vantage_audit ORDER BY position"))
        ]


def findings(database, head=None):
    return [(finding.place, finding.problem) for finding in DatabaseTrail(database).verify(head).findings]


# ---- one chain of many processes ----------------------------------------------------------------------------------


def test_many_processes_make_one_chain(database_url, database):
    code = (
        "import sys; from concurrent.futures import ThreadPoolExecutor; from pathlib import Path\n"
        "from service.access import Event, open_home\n"
        "print(flush=True); sys.stdin.readline()\n"
        "home = open_home(Path(), sys.argv[1]); log = home.audit(0)\n"
        "def append(thread):\n"
        "    for number in range(20):\n"
        "        told = Event(action='add', request_id=f'{sys.argv[2]}-{thread}-{number}')\n"
        "        log.append(told, durable=number % 5 == 0)\n"
        "with ThreadPoolExecutor(3) as pool: list(pool.map(append, range(3)))\n"
        "log.close(); home.close()"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, database_url, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for name in "abc"
    ]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in processes:
        process.stdin.close()
        process.stdout.close()
        assert process.wait() == 0
    report = DatabaseTrail(database).verify()
    assert (report.sound, report.lines, report.first) == (True, 180, 1)
    told = {entry.request_id for entry in DatabaseTrail(database).entries()}
    assert told == {f"{name}-{thread}-{number}" for name in "abc" for thread in range(3) for number in range(20)}


def test_threads_that_wait_share_one_commit(database, log, monkeypatch):
    entered, go, commits = threading.Event(), threading.Event(), []
    record = log._record

    def slow(batch):
        commits.append(len(batch))
        if len(commits) == 1:
            entered.set()
            assert go.wait(60)
        record(batch)

    monkeypatch.setattr(log, "_record", slow)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(log.append, Event(action="add"), durable=True)
        assert entered.wait(60)
        others = [pool.submit(log.append, Event(action="add"), durable=True) for _ in range(8)]
        while len(log._waiting) < 8:
            pass
        go.set()
        assert sorted(each.result().sequence for each in [first, *others]) == list(range(1, 10))
    assert commits == [1, 8]


def test_one_that_cannot_be_written_does_not_hinder_those_beside_it(log):
    waiting = [
        log_module_waiting(Event(action="add", request_id="a").members(NOON)),
        log_module_waiting({"action": "add", "parameters": {"x": object()}}),
        log_module_waiting(Event(action="add", request_id="b").members(NOON)),
    ]
    log._record(waiting)
    assert [None if each.head is None else each.head.sequence for each in waiting] == [1, None, 2]
    assert "cannot be written as JSON" in str(waiting[1].error)
    assert log.verify().sound


def log_module_waiting(members):
    from service.access.database.audit import _Waiting

    return _Waiting(members, NOON, durable=False)


# ---- whoever changes the tables is found out ----------------------------------------------------------------------


@pytest.fixture
def twelve(log):
    return [log.append(Event(action="search", request_id=f"r{number}")) for number in range(12)]


def test_every_changed_removed_exchanged_or_added_line_is_found(database, run_sql, twelve):
    assert findings(database) == []
    held = dict(lines(database))
    put = "UPDATE vantage_audit SET line = :line WHERE position = :position"
    for position, line in held.items():
        run_sql(put, line=line.replace(b'"search"', b'"embed"').decode(), position=position)
        assert findings(database)[0] == (
            f"line {position}",
            "it is not as it was written: changed, damaged or put in",
        )
        run_sql("DELETE FROM vantage_audit WHERE position = :position", position=position)
        found = " ".join(problem for _, problem in findings(database))
        assert ("names line 12" if position == 12 else f"{position}") in found
        assert found
        run_sql(
            "INSERT INTO vantage_audit (position, day, line) VALUES (:position, '2026-05-01', :line)",
            position=position,
            line=line.decode(),
        )
        assert findings(database) == []
        if position < 12:
            run_sql(put, line=held[position + 1].decode(), position=position)
            run_sql(put, line=line.decode(), position=position + 1)
            assert any("was moved or repeated" in problem for _, problem in findings(database))
            run_sql(put, line=line.decode(), position=position)
            run_sql(put, line=held[position + 1].decode(), position=position + 1)
    run_sql("INSERT INTO vantage_audit (position, day, line) VALUES (13, '2026-05-01', :line)", line=held[12].decode())
    assert any("was moved or repeated" in problem for _, problem in findings(database))


def test_all_written_anew_is_found_only_with_a_head_kept_elsewhere(database, run_sql, twelve):
    head = twelve[3]
    for position, line in lines(database)[4:]:
        members = json.loads(line)
        for name in ("sequence", "previous", "sha256"):
            del members[name]
        new, head = line_of(members | {"request_id": "forged"}, head)
        run_sql(
            "UPDATE vantage_audit SET line = :line WHERE position = :position",
            line=new.decode().strip(),
            position=position,
        )
    assert [place for place, _ in findings(database)] == ["line 12"]  # which the other table names otherwise
    run_sql("UPDATE vantage_audit_head SET sha256 = :sha256", sha256=head.sha256)
    assert findings(database) == []
    for number, kept in enumerate(twelve):
        assert bool(findings(database, kept)) == (number >= 4)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("DELETE FROM vantage_audit WHERE position > 9", "did not end with the line 12:"),
        ("DELETE FROM vantage_audit", "did not end with the line 12:"),
        ("DELETE FROM vantage_audit_head", "which was missing"),
        ("UPDATE vantage_audit_head SET sequence = 9, position = 9", "did not end with the line 9:"),
        ("UPDATE vantage_audit SET line = 'x' WHERE position = 12", "did not end with the line 12:"),
    ],
)
def test_a_start_at_another_end_than_the_one_that_is_noted_is_told_of_for_good(
    database, run_sql, twelve, change, expected
):
    run_sql(change)
    for _ in range(2):
        with closing(DatabaseAuditLog(database, now=lambda: NOON)) as log:
            log.append(Event(action="search"))
    assert any(expected in problem for _, problem in findings(database))
    assert len(list(DatabaseTrail(database).entries(action="shortened"))) == 1


def test_nothing_is_chained_to_a_line_that_nobody_names(run_sql, log):
    log.append(Event(action="search"))
    run_sql("DELETE FROM vantage_audit_head")
    with pytest.raises(AuditError, match="start the service again"):
        log.append(Event(action="search"))


def test_a_day_that_was_put_back_by_hand_does_not_make_a_line_old(database, run_sql, twelve):
    run_sql("UPDATE vantage_audit SET day = '2020-01-01'")
    with closing(DatabaseAuditLog(database, keep_days=2, now=lambda: NOON)):
        assert len(lines(database)) == 12


def test_what_is_old_and_damaged_is_not_removed_before_somebody_looked(database, run_sql, twelve):
    run_sql("UPDATE vantage_audit SET line = 'x' WHERE position = 12")
    run_sql("UPDATE vantage_audit_head SET sequence = 11, sha256 = :sha256", sha256=twelve[10].sha256)
    with closing(DatabaseAuditLog(database, keep_days=2, now=lambda: NOON + timedelta(days=9))):
        assert len(lines(database)) == 12


def test_replicas_remove_what_is_old_once(database, twelve):
    later = [
        DatabaseAuditLog(database, keep_days=2, now=lambda days=days: NOON + timedelta(days=days)) for days in (9, 9)
    ]
    for log in later:
        log.retain()
        log.append(Event(action="search"))
    assert [entry.action for entry in later[0].entries()] == ["retention", "search", "search"]
    assert later[0].verify().first == 13
    assert later[0].verify(twelve[-1]).sound
    assert not later[0].verify(Head(12, "1" * 64)).sound


# ---- the database goes and comes back -----------------------------------------------------------------------------


class SQLiteFile:
    """Away is a file that was taken away."""

    def __init__(self, folder):
        self.path = folder / "shared.sqlite"
        self.url = f"sqlite:///{self.path}"

    def stop(self):
        self.path.rename(self.path.with_suffix(".away"))

    def start(self):
        self.path.with_suffix(".away").rename(self.path)


@pytest.fixture(params=["sqlite", "postgresql"])
def stopping(request, tmp_path):
    """A database that goes and comes back."""
    if request.param == "sqlite":
        return SQLiteFile(tmp_path)
    server = request.getfixturevalue("make_postgresql")()
    server.url = server.database()
    return server


def test_what_cannot_be_recorded_is_told_and_the_log_goes_on_when_the_database_is_back(stopping):
    with closing(Database(stopping.url)) as database, closing(DatabaseAuditLog(database)) as log:
        log.append(Event(action="add", request_id="one"), durable=True)
        stopping.stop()
        for durable in (False, True):
            with pytest.raises(AuditError, match=r"cannot be read or written.*nothing was recorded or done"):
                log.append(Event(action="add", request_id="lost"), durable=durable)
        with pytest.raises(AuditError):
            log.verify()
        if stopping.url.startswith("postgresql"):
            with pytest.raises(DatabaseAwayError, match="cannot be reached"):
                open_home(Path(), stopping.url)
        stopping.start()
        assert log.append(Event(action="add", request_id="two"), durable=True).sequence == 2
        assert [entry.request_id for entry in log.entries()] == ["one", "two"]
        assert log.verify().sound


def test_nobody_notices_that_the_database_was_away_while_nobody_asked(stopping):
    with closing(Database(stopping.url)) as database, closing(DatabaseAuditLog(database)) as log:
        log.append(Event(action="add"), durable=True)
        stopping.stop()
        stopping.start()
        assert log.append(Event(action="add"), durable=True).sequence == 2


def test_keys_are_believed_for_seconds_and_then_nobody_is_let_in_until_they_can_be_read(stopping):
    seconds = [0.0]
    with closing(Database(stopping.url)) as database:
        store = KeyStore(DatabaseKeys(database), refresh_seconds=0.01, monotonic=lambda: seconds[0])
        with closing(store):
            _, secret = store.create(["search"], name="a")
            store.watch()
            stopping.stop()
            while store._why_not is None:
                pass
            looked = store._looked_at
            seconds[0] = looked + 4.9
            assert store.authenticate(secret).name == "a"
            assert store.has_keys
            seconds[0] = looked + 5
            for ask in (lambda: store.authenticate(secret), lambda: store.has_keys):
                with pytest.raises(KeyStoreError, match=r"cannot be read or written.*nobody is let in"):
                    ask()
            with pytest.raises(KeyStoreError):
                store.create(["search"], name="b")
            stopping.start()
            while store._looked_at == looked:
                pass
            assert store.authenticate(secret).name == "a"


# ---- keys ---------------------------------------------------------------------------------------------------------


def test_where_a_thread_looks_no_caller_asks_the_database(database, monkeypatch):
    with closing(KeyStore(DatabaseKeys(database), refresh_seconds=3600)) as store:
        _, secret = store.create(["search"], name="a")
        store.watch()

        def refuse(*_, **__):
            raise AssertionError("the database was asked")

        with monkeypatch.context() as patch:
            patch.setattr(database, "reading", refuse)
            patch.setattr(database, "writing", refuse)
            for _ in range(3):
                assert store.authenticate(secret).name == "a"
                assert store.has_keys


def test_a_key_that_one_replica_takes_back_another_refuses_within_seconds(database_url):
    homes = [open_home(Path(), database_url) for _ in range(2)]
    stores = [home.keys(watch=True) for home in homes]
    try:
        key, secret = stores[0].create(["search"], name="a")
        while not stores[1].has_keys:
            pass
        assert stores[1].authenticate(secret).id == key.id
        stores[0].revoke(key.id)
        while stores[1]._keys[key.id][0].revoked_at is None:
            pass
        with pytest.raises(RevokedKeyError):
            stores[1].authenticate(secret)
    finally:
        for opened in (*stores, *homes):
            opened.close()


def test_when_a_key_was_last_used_is_kept_and_never_goes_back(database):
    now = [NOON]
    with closing(KeyStore(DatabaseKeys(database), now=lambda: now[0], refresh_seconds=0)) as store:
        key, secret = store.create(["search"], name="a")
        store.authenticate(secret)
        assert [held.last_used for held in store.list()] == [NOON]
        other = DatabaseKeys(database)
        other.note_use(key.id, NOON - timedelta(hours=1))
        other.version()
        assert [held.last_used for held in store.list()] == [NOON]


def test_rows_written_by_hand_are_refused_with_a_sentence(database, run_sql):
    with closing(KeyStore(DatabaseKeys(database))) as store:
        store.create(["search"], name="a")
        run_sql("UPDATE vantage_keys SET scopes = 'everything'")
        with pytest.raises(KeyStoreError, match=r"damaged .*'everything' is no scope"):
            store.list()


# ---- jobs ---------------------------------------------------------------------------------------------------------


def test_replicas_see_each_others_jobs_and_which_are_lost(database, monkeypatch):
    seconds = [1000.0]
    monkeypatch.setattr(Database, "seconds", lambda *_: seconds[0])
    one, other = JobBoard(database), JobBoard(database)
    one.post("a", {"state": "waiting"}, ended=False)
    seconds[0] += 1
    other.post("b", {"state": "waiting"}, ended=False)
    one.post("a", {"state": "running"}, ended=False)
    assert other.get("a") == ({"state": "running"}, False)
    assert other.get("c") is None
    assert [posted.told["state"] for posted in one.list()] == ["waiting", "running"]
    seconds[0] += 50
    other.beat()
    seconds[0] += 20
    assert [posted.lost for posted in one.list()] == [False, True]
    one.post("a", {"state": "done"}, ended=True)
    seconds[0] += 1000
    assert [posted.lost for posted in one.list()] == [True, False]


def test_old_jobs_are_forgotten_and_those_that_run_are_not(database, monkeypatch):
    monkeypatch.setattr(jobs_module, "KEPT", 3)
    seconds = [1000.0]
    monkeypatch.setattr(Database, "seconds", lambda *_: seconds[0])
    board = JobBoard(database)
    for number in range(6):
        seconds[0] += 1
        board.post(f"{number}", {"number": number}, ended=number != 1)
    assert board.get("1") is not None
    assert board.get("0") is None
    assert [posted.told["number"] for posted in board.list()] == [5, 4, 3]


# ---- opening ------------------------------------------------------------------------------------------------------


def test_a_file_of_sqlite_is_its_owners_alone(tmp_path):
    path = tmp_path / "new" / "shared.sqlite"
    with closing(Database(f"sqlite:///{path}")) as database, database.writing() as connection:
        connection.execute(text("DELETE FROM vantage_jobs"))
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert modes == {"shared.sqlite": 0o600, "shared.sqlite-wal": 0o600, "shared.sqlite-shm": 0o600}


def test_a_replica_that_stands_still_cannot_hold_the_chain_for_long(postgresql):
    with closing(Database(postgresql.database())) as database, database.reading() as connection:
        for setting in ("idle_in_transaction_session_timeout", "lock_timeout"):
            assert connection.scalar(text(f"SHOW {setting}")) == "10s"


def test_a_search_does_not_wait_for_the_disk_of_the_database_and_a_write_does(postgresql):
    with closing(Database(postgresql.database())) as database:
        for durable, expected in ((True, "on"), (False, "off")):
            with database.writing(durable=durable) as connection:
                assert connection.scalar(text("SHOW synchronous_commit")) == expected


def test_tables_of_another_version_are_left_alone(database_url, run_sql):
    run_sql("UPDATE vantage_schema SET version = 7")
    with pytest.raises(DatabaseError, match="are of version 7, and this program knows 1"):
        open_home(Path(), database_url)


def test_a_user_who_may_only_read_can_check_the_log(postgresql, monkeypatch):
    url = postgresql.database()
    with closing(Database(url)) as database, closing(DatabaseAuditLog(database)) as log:
        log.append(Event(action="search"))
        schema = url.rpartition("%3D")[2]
        with database.writing() as connection:
            connection.execute(text(f"CREATE ROLE {schema}_reader LOGIN"))
            connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {schema}_reader"))
            connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {schema}_reader"))
    with closing(Database(url.replace("vantage@", f"{schema}_reader@"))) as reading:
        assert DatabaseTrail(reading).verify().sound
        with pytest.raises(AuditError, match="permission denied"):
            DatabaseAuditLog(reading)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:secret@h/n",
        "vantage.sqlite",
        "",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///x?mode=ro",
        "postgresql://u:se/cret:x@h:port/n",
    ],
)
def test_what_is_no_database_is_a_sentence_without_the_password(url):
    with pytest.raises(DatabaseError, match=r"the database is ") as refused:
        check_address(url)
    assert "cret" not in str(refused.value)


def test_a_url_is_shown_without_its_password():
    assert shown("postgresql://u:p%40ss@h:5432/n?sslmode=require") == "postgresql://u:***@h:5432/n?sslmode=require"
    assert shown("postgresql://u@h/n?sslmode=require&password=x") == "postgresql://u@h/n?sslmode=require&password=***"
    assert shown("sqlite:////data/x.sqlite") == "sqlite:////data/x.sqlite"
    assert check_address("postgres://u@h/n") == "postgresql+psycopg://u@h/n"


def test_a_server_that_is_not_there_is_away_and_the_sentence_has_no_password():
    pytest.importorskip("psycopg", reason="the extra sql is not installed")
    with pytest.raises(DatabaseAwayError, match=r"cannot be reached") as away:
        Database("postgresql://u:secret@127.0.0.1:1/n")
    assert "secret" not in str(away.value)


@pytest.mark.parametrize("missing", ["sqlalchemy", "psycopg"])
def test_without_the_extra_a_sentence_says_what_to_install(missing):
    code = (
        f"import sys; sys.modules['{missing}'] = None\n"
        "from pathlib import Path; from service.access import DatabaseError, open_home\n"
        "try: open_home(Path(), 'postgresql://u@127.0.0.1:1/n')\n"
        "except DatabaseError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert f"{missing} is not installed: pip install 'vantage-reid[sql]'" in said


def test_who_keeps_keys_in_files_loads_nothing_of_databases(tmp_path):
    code = (
        "import sys; from pathlib import Path; import service.api; from service.access import open_home\n"
        "home = open_home(Path(sys.argv[1]), None); home.keys().close(); home.audit(0).close(); home.trail().verify()\n"
        "assert not {'sqlalchemy', 'psycopg', 'pymilvus', 'service.access.database'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, os.fspath(tmp_path)], check=True)
