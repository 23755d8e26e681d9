import contextlib
import json
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pytest

import service.access.homes as homes_module
import service.access.keys as keys_module
from service.access import (
    SCOPES,
    AccessError,
    BadKeyError,
    ExpiredKeyError,
    ForbiddenError,
    KeyStore,
    KeyStoreError,
    MissingKeyError,
    NoSuchKeyError,
    Rate,
    RevokedKeyError,
    UnauthenticatedError,
    UnknownKeyError,
    open_home,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Clocks:
    def __init__(self):
        self.utc, self.seconds = NOON, 50.0

    def now(self):
        return self.utc

    def monotonic(self):
        return self.seconds

    def pass_(self, seconds):
        self.utc += timedelta(seconds=seconds)
        self.seconds += seconds


@pytest.fixture
def clocks():
    return Clocks()


@pytest.fixture
def open_store(open_a_home, clocks):
    """Keys wherever they may be kept; `store_in_file` are those that are in a file."""
    opened = []

    def open_():
        with pytest.MonkeyPatch.context() as patch:  # a home has no clock of its own
            patch.setattr(homes_module, "KeyStore", partial(KeyStore, now=clocks.now, monotonic=clocks.monotonic))
            opened.append(open_a_home().keys())
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store):
    return open_store()


@pytest.fixture
def open_in_file(tmp_path, clocks):
    opened = []

    def open_():
        path = tmp_path / "access" / "keys.sqlite"
        opened.append(KeyStore(path, now=clocks.now, monotonic=clocks.monotonic))
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def store_in_file(open_in_file):
    return open_in_file()


def test_a_key_is_known_again_with_all_that_was_said_of_it(store):
    until = NOON.astimezone(timezone(timedelta(hours=2))) + timedelta(days=1)
    key, secret = store.create(
        ["ingest", "search", "search"],
        name="Gate 3",
        galleries=["b", "a"],
        expires_at=until,
        purpose="Lost children",
        rate=Rate(2.5, 7),
    )
    assert (key.scopes, key.galleries) == (("search", "ingest"), ("a", "b"))
    assert (key.expires_at, key.expires_at.utcoffset()) == (until, timedelta(0))
    known = store.authenticate(secret)
    assert known == key
    assert [held.id for held in store.list()] == [key.id]
    assert (known.name, known.purpose, known.rate) == ("Gate 3", "Lost children", Rate(2.5, 7))
    prefix, id, rest = secret.split("_")
    assert (prefix, id, len(bytes.fromhex(rest))) == ("vk", key.id, 32)


def test_the_four_reasons_for_which_nobody_is_let_in_are_told_apart(store, clocks):
    key, secret = store.create(["search"], name="a", expires_at=NOON + timedelta(hours=1))
    for nothing in (None, ""):
        with pytest.raises(MissingKeyError, match="vantage key create"):
            store.authenticate(nothing)
    other = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    unknown = [
        other,
        "vk_00000000_" + "0" * 64,
        secret.upper(),
        secret + "0",
        " " + secret,
        "x",
        "ü",
        "\ud800",
        secret + "\n",
    ]
    for text in unknown:
        with pytest.raises(UnknownKeyError) as error:
            store.authenticate(text)
        assert key.id not in str(error.value)
    assert store.authenticate(secret).id == key.id
    clocks.pass_(3600)
    with pytest.raises(ExpiredKeyError, match=f"{key.id}.* expired at 2026-05-01 13:00:00Z"):
        store.authenticate(secret)
    store.revoke(key.id)
    with pytest.raises(RevokedKeyError, match=key.id):
        store.authenticate(secret)
    with pytest.raises(UnknownKeyError):  # the secret is looked at first
        store.authenticate(other)
    assert issubclass(RevokedKeyError, UnauthenticatedError)
    assert issubclass(UnauthenticatedError, AccessError)


def test_no_sentence_quotes_a_secret(store):
    _, secret = store.create(["search"], name="a")
    rest = secret.split("_")[2]
    with pytest.raises(UnknownKeyError) as unknown:
        store.authenticate(secret + "x")
    with pytest.raises(NoSuchKeyError) as absent:
        store.revoke(secret)
    assert rest[:10] not in str(unknown.value) + str(absent.value)


def test_only_a_hash_is_kept_in_files_that_are_their_owners_alone(store_in_file, tmp_path):
    store = store_in_file
    _, secret = store.create(["admin"], name="a")
    store.authenticate(secret)
    folder = tmp_path / "access"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    names = {path.name for path in folder.iterdir()}
    assert names == {"keys.sqlite", "keys.sqlite-wal", "keys.sqlite-shm"}
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert secret.split("_")[2].encode() not in path.read_bytes()


def test_hashes_are_compared_in_constant_time(store, monkeypatch):
    compared = []
    monkeypatch.setattr(keys_module.hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or a == b)
    _, secret = store.create(["search"], name="a")
    store.authenticate(secret)
    for text in ("x", "vk_00000000_" + "0" * 64):
        with pytest.raises(UnknownKeyError):
            store.authenticate(text)
    assert compared == [(32, 32)] * 3


def test_several_live_at_once_and_one_is_taken_back(store, clocks):
    old, old_secret = store.create(["search"], name="kiosk")
    new, new_secret = store.create(["search"], name="kiosk")
    assert store.authenticate(old_secret).id != store.authenticate(new_secret).id
    revoked = store.revoke(old.id)
    assert revoked.revoked_at == NOON
    assert store.authenticate(new_secret).id == new.id
    clocks.pass_(60)
    assert store.revoke(old.id).revoked_at == NOON
    with pytest.raises(NoSuchKeyError, match="'nothing'"):
        store.revoke("nothing")


def test_from_the_first_key_on_everybody_needs_one(store):
    assert not store.has_keys
    key, _ = store.create(["search"], name="a")
    assert store.has_keys
    store.revoke(key.id)
    assert store.has_keys


@pytest.mark.parametrize("scope", SCOPES)
def test_what_a_key_allows(store, scope):
    everywhere, _ = store.create([scope], name="a")
    here, _ = store.create([scope], name="b", galleries=["g"])
    for wanted in SCOPES:
        holds = scope in (wanted, "admin")
        assert everywhere.holds(wanted) == everywhere.allows(wanted, "g") == everywhere.allows(wanted, None) == holds
        assert here.holds(wanted) == here.allows(wanted, "g") == holds
        assert not here.allows(wanted, "h")
        assert not here.allows(wanted, None)


def test_who_may_not_is_told_what_would(store):
    key, _ = store.create(["search"], name="b", galleries=["g"])
    key.require("search", "g")
    with pytest.raises(ForbiddenError, match=r"is for search, not for delete: use a key made with --scope delete"):
        key.require("delete", "g")
    with pytest.raises(ForbiddenError, match=r"is for g, not for gallery 'h': use a key made with --gallery h"):
        key.require("search", "h")
    with pytest.raises(ForbiddenError, match=r"not for the service as a whole: use a key made without --gallery"):
        key.require("search", None)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"scopes": []}, "without a scope opens nothing"),
        ({"scopes": ["read"]}, "'read' is no scope: give some of search, ingest, delete, admin"),
        ({"name": ""}, "a key's name is ''"),
        ({"name": "a\nb"}, "one line"),
        ({"name": " "}, "one line"),
        ({"purpose": "x" * 201}, "1 to 200"),
        ({"galleries": []}, "for no gallery opens nothing"),
        ({"galleries": ["A"]}, "a gallery cannot be called 'A'"),
        ({"galleries": ["a,b"]}, "a gallery cannot be called"),
        ({"expires_at": NOON}, "which is over"),
        ({"expires_at": datetime(2027, 1, 1)}, "without a time zone"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_made(store, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        store.create(**({"scopes": ["search"], "name": "a"} | arguments))
    assert store.list() == ()


def test_what_another_process_changes_is_noticed_within_a_second(store, clocks, tmp_path, home_url):
    _, kept = store.create(["search"], name="kept")
    code = (
        "import sys, json; from pathlib import Path; from service.access import open_home\n"
        "home = open_home(Path(sys.argv[1]), sys.argv[3] or None); store = home.keys()\n"
        "key, secret = store.create(['ingest'], name='theirs')\n"
        "store.revoke(sys.argv[2])\n"
        "store.close(); home.close(); print(json.dumps([key.id, secret]))"
    )
    old, old_secret = store.create(["search"], name="old")
    store.authenticate(old_secret)
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), old.id, home_url or ""], capture_output=True, text=True, check=True
    )
    id, secret = json.loads(run.stdout)
    clocks.pass_(0.6)
    assert store.authenticate(secret).id == id
    with pytest.raises(RevokedKeyError):
        store.authenticate(old_secret)
    store.authenticate(kept)


def test_between_two_looks_the_file_is_not_asked(open_in_file, clocks):
    service, command = open_in_file(), open_in_file()
    key, secret = command.create(["search"], name="a")
    with pytest.raises(UnknownKeyError):
        service.authenticate(secret)  # it looked when it was opened, and again only later
    clocks.pass_(0.6)
    service.authenticate(secret)
    statements = []
    service._shelf._connection.set_trace_callback(statements.append)
    for _ in range(100):
        service.authenticate(secret)
    assert statements == []
    for _ in range(3):
        clocks.pass_(0.6)
        for _ in range(100):
            service.authenticate(secret)
    # The first of these looks sees that it was noted when the key was last used; the others read nothing.
    assert [text for text in statements if "SELECT" not in text] == ["PRAGMA data_version"] * 3
    assert len(statements) <= 4
    command.revoke(key.id)
    service.authenticate(secret)
    clocks.pass_(0.6)
    with pytest.raises(RevokedKeyError):
        service.authenticate(secret)


def test_when_it_was_last_used_is_noted_coarsely_and_not_with_each_request(store_in_file, clocks):
    store = store_in_file
    _, secret = store.create(["search"], name="a")
    writes = []
    store._shelf._uses.set_trace_callback(lambda text: writes.append(text) if text.startswith("UPDATE") else None)
    for _ in range(600):
        clocks.pass_(1)
        store.authenticate(secret)
    assert len(writes) == 2
    (listed,) = store.list()
    assert timedelta(0) <= clocks.utc - listed.last_used <= timedelta(minutes=5)


def test_a_file_that_is_being_written_holds_no_request_up(store_in_file, clocks):
    store = store_in_file
    assert store._shelf._uses.execute("PRAGMA busy_timeout").fetchone() == (0,)
    _, secret = store.create(["search"], name="a")
    other = sqlite3.connect(store._shelf.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    clocks.pass_(1)
    assert store.authenticate(secret).name == "a"
    other.close()


def test_processes_make_what_keys_are_kept_in_and_keys_at_once(tmp_path, home_url):
    code = (
        "import sys; from pathlib import Path; from service.access import open_home\n"
        "print(flush=True); sys.stdin.readline()\n"
        "home = open_home(Path(sys.argv[1]), sys.argv[2] or None); store = home.keys()\n"
        "for number in range(20): store.create(['search'], name=f'{sys.argv[3]} {number}')\n"
        "store.close(); home.close()"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), home_url or "", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in "abc"
    ]
    for process in processes:  # at the same time, once all have loaded their modules
        process.stdout.readline()
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in processes:
        process.stdin.close()
        process.stdout.close()
        assert process.wait() == 0
    home = open_home(tmp_path, home_url)
    with contextlib.closing(home), contextlib.closing(home.keys()) as store:
        names = sorted(key.name for key in store.list())
    assert names == sorted(f"{name} {number}" for name in "abc" for number in range(20))
    assert not list(tmp_path.rglob("*.tmp"))


def test_many_threads_ask_while_keys_come_and_go(store, clocks, home_url):
    good = [store.create(["search"], name=f"{number}")[1] for number in range(4)]
    stop, wrong = threading.Event(), []

    def ask(secret):
        while not stop.is_set():
            try:
                store.authenticate(secret)
            except AccessError as error:
                wrong.append(error)

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, secret) for secret in good]
        for _ in range(15 if home_url is None else 4):
            key, secret = store.create(["search"], name="passing")
            clocks.pass_(400)
            store.authenticate(secret)
            store.revoke(key.id)
            with pytest.raises(RevokedKeyError):
                store.authenticate(secret)
        stop.set()
        for each in asking:
            each.result()
    assert wrong == []


def test_where_the_file_is_gone_replaced_or_damaged_nobody_is_let_in(open_in_file, clocks, tmp_path):
    store = open_in_file()
    _, secret = store.create(["search"], name="a")
    away = tmp_path / "away"
    store._shelf.path.rename(away)
    clocks.pass_(1)
    for _ in range(2):
        with pytest.raises(KeyStoreError, match="nobody is let in"):
            store.authenticate(secret)
        with pytest.raises(KeyStoreError, match="nobody is let in"):
            _ = store.has_keys
    away.rename(store._shelf.path)
    assert store.authenticate(secret)
    store._shelf.path.write_bytes(b"no database at all" * 1000)
    clocks.pass_(1)
    store._shelf._connection.execute("PRAGMA shrink_memory")
    with pytest.raises(KeyStoreError):
        KeyStore(store._shelf.path)


@pytest.mark.parametrize("content", [b"", b"x", b"text " * 5000])
def test_a_file_that_is_no_file_of_keys_is_refused_and_left_as_it_is(tmp_path, content):
    path = tmp_path / "keys.sqlite"
    path.write_bytes(content)
    with pytest.raises(KeyStoreError, match="keys"):
        KeyStore(path)
    assert path.read_bytes() == content


def test_rows_written_by_hand_are_refused_with_a_sentence(store_in_file, open_in_file):
    store = store_in_file
    store.create(["search"], name="a")
    store._shelf._connection.execute("UPDATE keys SET scopes = 'everything'")
    with pytest.raises(KeyStoreError, match=r"damaged .*'everything' is no scope"):
        open_in_file()


def test_a_directory_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KeyStoreError, match="give a data directory that you may write to"):
        KeyStore(tmp_path / "file" / "access" / "keys.sqlite")


def test_a_full_disk_makes_no_key(store_in_file):
    store = store_in_file
    store.create(["search"], name="first")
    # A key whose list of galleries needs pages of its own, where the file may not have any more.
    galleries = [f"gallery-{number:04}" for number in range(2000)]
    store._shelf._connection.execute("PRAGMA max_page_count = 1").fetchone()
    with pytest.raises(KeyStoreError, match="disk is not full"):
        store.create(["search"], name="second", galleries=galleries)
    assert [key.name for key in store.list()] == ["first"]


def test_bad_keys_are_bad_values():
    assert issubclass(BadKeyError, ValueError)


def test_keys_are_taken_over_as_they_are(store, store_in_file, clocks):
    """From a file into a database, so that nobody needs a new key."""
    kept, secret = store_in_file.create(["search"], name="a", galleries=["g"], rate=Rate(2.5, 7))
    gone, _ = store_in_file.create(["search"], name="b")
    store_in_file.revoke(gone.id)
    own, own_secret = store.create(["admin"], name="c")
    already = store.list()
    if len(already) == 3:  # the file itself
        assert store.take_over(store_in_file) == ()
        return
    assert [key.id for key in store.take_over(store_in_file)] == sorted([kept.id, gone.id])
    assert store.take_over(store_in_file) == ()
    assert store.authenticate(secret) == kept
    assert store.authenticate(own_secret).id == own.id
    assert {key.id: key.state(NOON) for key in store.list()} == {kept.id: "live", gone.id: "revoked", own.id: "live"}
