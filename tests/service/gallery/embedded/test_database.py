"""A database is opened whole or refused with what to do; a full disk changes nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.gallery import CorruptError, GalleryError, GallerySettings, NewItem, StorageFullError, UnavailableError
from service.gallery.embedded import database
from service.gallery.embedded.truth import Transaction, Truth

Make = Callable[..., NewItem]
Add = Callable[..., tuple[str, ...]]


def test_what_is_written_is_synced_and_what_is_deleted_is_overwritten(truth: Truth) -> None:
    writer = truth._database.writer
    asked = {name: writer.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    asked |= {name: writer.execute(f"PRAGMA {name}").fetchone()[0] for name in ("secure_delete", "foreign_keys")}
    assert asked == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}


def test_a_reading_connection_cannot_write(truth: Truth) -> None:
    with (
        pytest.raises(sqlite3.OperationalError, match="readonly"),
        truth._database.reading() as connection,
    ):
        connection.execute("DELETE FROM gallery")


def test_reading_connections_are_used_again_also_after_an_error(truth: Truth) -> None:
    with truth._database.reading() as first, truth._database.reading() as second:
        assert first is not second
    with pytest.raises(RuntimeError, match="within"):
        fail_while_reading(truth)
    with truth._database.reading() as third, truth._database.reading() as fourth:
        assert {id(third), id(fourth)} == {id(first), id(second)}
        assert [third.in_transaction, fourth.in_transaction] == [False, False]


def fail_while_reading(truth: Truth) -> None:
    with truth._database.reading() as connection:
        connection.execute("BEGIN")
        raise RuntimeError("within")


def test_any_number_of_threads_may_read(truth: Truth, new_item: Make, add: Add) -> None:
    add(truth, *(new_item(f"i{n}", n) for n in range(10)))
    found: list[int] = []

    def read() -> None:
        for _ in range(20):
            found.append(len(truth.items(truth.keys().tolist())))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(20):
        add(truth, new_item(f"j{n}", n))
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert min(found) >= 10


def test_closing_leaves_one_file(filled: Path) -> None:
    assert [path.name for path in filled.parent.iterdir()] == ["gallery.sqlite"]


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 1000, b"SQLite format 3\0"])
def test_what_is_no_database_is_refused_and_left_as_it_is(filled: Path, content: bytes) -> None:
    filled.write_bytes(content)
    with pytest.raises(CorruptError, match="vantage gallery restore"):
        Truth.open(filled)
    assert filled.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(CorruptError, match="no gallery's database"):
        Truth.open(path)
    assert path.read_bytes() == before


def test_a_missing_database_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(CorruptError, match="not there"):
        Truth.open(tmp_path / "gallery.sqlite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_database_is_refused(filled: Path, share: float) -> None:
    content = filled.read_bytes()
    filled.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CorruptError, match="damaged"):
        Truth.open(filled)


def test_the_refusal_names_the_snapshots_there_are(filled: Path) -> None:
    filled.write_bytes(b"")
    with pytest.raises(CorruptError, match="there are: demo-1, demo-2"):
        Truth.open(filled, snapshots=("demo-1", "demo-2"))


def test_a_flipped_byte_is_refused_or_found_wherever_it_lies(filled: Path) -> None:
    content = filled.read_bytes()
    whole = sorted(_everything(filled))
    unnoticed = []
    for place in range(137, len(content), len(content) // 60):
        damaged = bytearray(content)
        damaged[place] ^= 0x5A
        filled.write_bytes(damaged)
        for beside in ("-wal", "-shm"):
            filled.with_name(filled.name + beside).unlink(missing_ok=True)
        try:
            truth = Truth.open(filled)
        except (CorruptError, GalleryError):
            continue
        try:
            if not truth.check():
                truth.close()
                # It lay where nothing is: then everything is as it was.
                if sorted(_everything(filled)) != whole:
                    unnoticed.append(place)
        finally:
            truth.close()
    assert unnoticed == []


def _everything(path: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return [
            (table, repr(row))
            for table in ("gallery", "items", "vectors", "metadata_values", "feedback", "erased", "denied")
            for row in connection.execute(f"SELECT * FROM {table}")
        ]
    finally:
        connection.close()


def test_damage_met_while_reading_is_told_in_the_same_words(filled: Path) -> None:
    truth = Truth.open(filled)
    page = 8192
    with filled.open("r+b") as file:
        for number in range(3, filled.stat().st_size // page):
            file.seek(number * page)
            file.write(b"\xff" * 100)
    with pytest.raises(CorruptError, match="vantage gallery restore"):
        list(truth.rows())
    assert [finding.serious for finding in truth.check()][:1] == [True]
    truth.close()


def test_a_disk_that_fills_up_loses_nothing(
    truth: Truth, new_item: Make, add: Add, monkeypatch: pytest.MonkeyPatch, noon: Any
) -> None:
    add(truth, new_item("before"))
    truth._database.writer.execute("PRAGMA max_page_count = 40")  # SQLite's own way of having no room left
    many = [new_item(f"i{n}", n, metadata={"text": "x" * 1000}) for n in range(1000)]
    with pytest.raises(StorageFullError, match="free some space"):
        add(truth, *many)
    assert (truth.count, truth.change) == (1, 1)
    assert add(truth, new_item("after")) == ("added",)
    assert truth.check() == []


def test_a_full_disk_in_one_part_fails_those_that_follow_if_sqlite_undid_all(
    truth: Truth, new_item: Make, add: Add, noon: Any
) -> None:
    add(truth, new_item("before"))

    def one_part(transaction: Transaction) -> None:
        with transaction.part():
            transaction.add([new_item("a")], "replace", noon)
            truth._database.writer.execute("ROLLBACK")
            raise StorageFullError("full")

    def all_lost() -> None:
        with truth.transaction() as transaction:
            with pytest.raises(StorageFullError):
                one_part(transaction)
            with transaction.part():
                pytest.fail("nothing more can be written in this transaction")

    with pytest.raises(StorageFullError, match="full"):
        all_lost()
    assert (truth.count, truth.key_of("a")) == (1, None)
    assert add(truth, new_item("a")) == ("added",)


LIMITED = """
    import signal, resource, sys
    from pathlib import Path
    import numpy as np
    from datetime import datetime, UTC
    from service.gallery import NewItem, StorageFullError
    from service.gallery.embedded.crops import CropStore
    from service.gallery.embedded.truth import Truth

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    truth = Truth.open(Path(sys.argv[1]))
    limit = Path(sys.argv[1]).stat().st_size + 200_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    vector = np.eye(8, dtype=np.float32)[0]
    done = 0
    try:
        while done < 100_000:
            items = [NewItem(id=f"new-{n}", vector=vector) for n in range(done, done + 100)]
            with truth.transaction() as transaction, transaction.part():
                transaction.add(items, "replace", datetime.now(UTC))
            done += 100
    except StorageFullError as error:
        print(error)
    assert truth.count == 300 + done and truth.check() == [], truth.check()
    try:
        CropStore(Path(sys.argv[1]).parent / "crops").put(b"x" * 2 * limit)
    except StorageFullError as error:
        print(error)
    print(done)
    truth.close()
"""


def test_a_file_that_may_not_grow_is_told_and_what_was_acknowledged_stays(filled: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMITED), str(filled)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    database_told, crops_told, done = ran.stdout.splitlines()
    assert "cannot take more" in database_told
    assert "cannot take more" in crops_told
    truth = Truth.open(filled)
    assert truth.count == 300 + int(done) > 300
    assert truth.check() == []
    truth.close()
    assert [path for path in (filled.parent / "crops").rglob("*") if path.is_file()] == []


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 0))
    with pytest.raises(GalleryError, match="SQLite"):
        database.Database.open(tmp_path / "x")


def test_a_database_is_not_made_where_a_file_is(filled: Path, small_settings: GallerySettings) -> None:
    before = filled.read_bytes()
    with pytest.raises(FileExistsError):
        Truth.create(filled, "demo", small_settings)
    assert filled.read_bytes() == before


def test_a_reader_that_outlives_the_closing_closes_its_connection(truth: Truth, new_item: Make, add: Add) -> None:
    add(truth, new_item("a"))
    with truth._database.reading() as connection:
        truth.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
    with pytest.raises(UnavailableError, match="closed"):
        truth.keys()
