"""The truth of one gallery: its database, written by one thread and read by any."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from service.gallery.embedded.database import Database
from service.gallery.embedded.reads import Erased, Reads
from service.gallery.embedded.rows import Row, indexed_vector, instant, microseconds, stored_vector
from service.gallery.embedded.steps import reached
from service.gallery.embedded.syncing import sync
from service.gallery.embedded.transaction import Identity, Transaction
from service.gallery.errors import UnavailableError
from service.gallery.searching import Feedback
from service.gallery.settings import GallerySettings

__all__ = ["Erased", "Row", "Transaction", "Truth", "indexed_vector", "stored_vector"]

FIXED = "name, settings, created_at, identity, lineage, secret"  # what of a gallery a seal stands on


class _State(NamedTuple):
    change: int
    items: int
    latest: int
    next_key: int
    pending_purge: int


class Truth(Reads):
    """Transactions, `compact` and `adopt` are one thread's at a time; everything else is any thread's."""

    def __init__(self, database: Database) -> None:
        self._writing = threading.Lock()
        with database.told():
            row = database.writer.execute(f"SELECT {FIXED}, seal FROM gallery").fetchone()
        if row is None or _seal(row[:-1]) != row[-1]:
            raise database.corrupt("its settings are not what was written")
        name, settings, created_at, self.identity, self.lineage, secret = row[:-1]
        super().__init__(database, GallerySettings.model_validate_json(settings))
        self.created_at = instant(created_at)
        self._identity = Identity(name, self.settings, self.lineage, secret)
        self._state = self._read_state()
        self._silent_at = -1  # the change at which there was no feedback at all

    @classmethod
    def create(cls, path: Path, name: str, settings: GallerySettings) -> Truth:
        """Makes the database of a new gallery, at a path where nothing is yet."""
        database = Database.create(path)
        try:
            now = microseconds(datetime.now(UTC))
            identity, lineage = secrets.token_hex(16), secrets.token_hex(16)
            values = (name, settings.model_dump_json(), now, identity, lineage, secrets.token_bytes(32))
            with database.told():
                database.writer.execute(
                    f"INSERT INTO gallery ({FIXED}, seal, change, count, latest, unpurged) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0)",
                    (*values, _seal(values)),
                )
                database.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                sync(path)
                sync(path.parent)
            reached("database made")
            return cls(database)
        except BaseException:
            database.close()
            raise

    @classmethod
    def open(cls, path: Path, snapshots: Sequence[str] = ()) -> Truth:
        """Opens a gallery's database and looks it over. snapshots: what there is to restore, for the error if not."""
        database = Database.open(path, snapshots)
        try:
            return cls(database)
        except BaseException:
            database.close()
            raise

    @classmethod
    def adopt(cls, path: Path, *, name: str | None) -> None:
        """Makes a copy of a database a gallery of its own: other keys than the first one's will be given from here on.

        name  the gallery's, where it is to be another gallery than the one that was copied, with snapshots of its own.
        """
        with contextlib.closing(cls.open(path)) as truth, truth._database.told():
            fixed = truth._identity
            identity = truth.identity if name is None else secrets.token_hex(16)
            values = (
                name or fixed.name,
                fixed.settings.model_dump_json(),
                microseconds(truth.created_at),
                identity,
                secrets.token_hex(16),
                fixed.secret,
            )
            truth._database.writer.execute(
                f"UPDATE gallery SET ({FIXED}, seal) = (?, ?, ?, ?, ?, ?, ?)", (*values, _seal(values))
            )

    def close(self) -> None:
        self._database.close()

    @property
    def path(self) -> Path:
        return self._database.path

    @property
    def name(self) -> str:
        """What it was called when it was made; the registry knows what it is called now."""
        return self._identity.name

    @property
    def change(self) -> int:
        """Grows by 1 with every commit that changed something."""
        return self._state.change

    @property
    def count(self) -> int:
        return self._state.items

    @property
    def pending_purge(self) -> int:
        """Deleted ids of which something may be left on disk."""
        return self._state.pending_purge

    def feedback_of(self, *, items: Sequence[str] = (), names: Sequence[str] = ()) -> tuple[Feedback, ...]:
        """As `Reads`; most galleries have no feedback, and their searches need not ask again and again."""
        change = self.change
        if change == self._silent_at:
            return ()
        found = super().feedback_of(items=items, names=names)
        if not found and not self.has_feedback():
            self._silent_at = change
        return found

    def latest_time(self) -> datetime:
        """The largest `added_at` there ever was, 1970 if none: with it a clock that has gone back revives no item."""
        return instant(self._state.latest)

    # ---- writing -----------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One commit, when the block ends; an error within undoes it all."""
        committed = False
        with self._writing, self._database.told():
            writer = self._database.writer
            writer.execute("BEGIN IMMEDIATE")
            try:
                reached("transaction begun")
                transaction = Transaction(writer, self._identity, self._state.next_key, self._state.latest)
                yield transaction
                transaction.settle()
                if transaction.changed:
                    writer.execute(
                        "UPDATE gallery SET change = change + 1, count = count + ?, latest = ?",
                        (transaction.growth, transaction.latest),
                    )
                    state = self._read_state()
                    reached("transaction filled")
                    writer.execute("COMMIT")
                    self._state = state
                    committed = True
                else:
                    writer.execute("ROLLBACK")
            finally:
                if writer.in_transaction:
                    with contextlib.suppress(sqlite3.Error):  # the first error is the one to tell
                        writer.execute("ROLLBACK")
        if committed:
            reached("committed")

    def compact(self, erased: Sequence[Erased]) -> None:
        """Writes the database anew, so that nothing is left in its files of what was deleted.

        It needs room for a copy of the database beside it and for another in the system's temporary directory.

        erased  what has gone from the snapshots too, so that it can be forgotten; what was deleted since stays listed.
        """
        with self._writing, self._database.told():
            writer = self._database.writer
            writer.execute("BEGIN IMMEDIATE")
            try:
                gone = writer.executemany(
                    "DELETE FROM erased WHERE id = ? AND lineage = ? AND up_to_key = ?", erased
                ).rowcount
                writer.execute("UPDATE gallery SET unpurged = unpurged + ?", (max(gone, 0),))
                writer.execute("COMMIT")
            finally:
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
            reached("compact forgotten")
            writer.execute("VACUUM")
            reached("compact rewritten")
            busy, _, _ = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise UnavailableError(
                    f"{self.path} is being read, so that its write-ahead log cannot be emptied: compact again later"
                )
            reached("compact truncated")
            writer.execute("UPDATE gallery SET unpurged = 0")
            self._state = self._read_state()
            reached("compact settled")

    def scrub(self, erased: Sequence[Erased]) -> None:
        """Deletes from a snapshot's database what was deleted from the gallery, and the mention that it was."""
        with self.transaction() as transaction:
            there = transaction.keys_of([pair.id for pair in erased])
            gone = {
                there[pair.id]
                for pair in erased
                if pair.id in there and (pair.lineage != self.lineage or there[pair.id] <= pair.up_to_key)
            }
            transaction.delete(sorted(gone))
            if self.settings.deny_erased:
                transaction.deny(pair.id for pair in erased)
            transaction.forget(pair.id for pair in erased)

    def copy_to(self, target: Path) -> None:
        """Writes a consistent copy, without free pages, as one file; writing goes on meanwhile."""
        with self._database.reading() as connection:
            connection.execute("VACUUM INTO ?", (str(target),))

    def _read_state(self) -> _State:
        with self._database.told():
            change, count, latest, pending = self._database.writer.execute(
                "SELECT change, count, latest, unpurged + (SELECT count(*) FROM erased) FROM gallery"
            ).fetchone()
            sequence = self._database.writer.execute("SELECT seq FROM sqlite_sequence WHERE name = 'items'").fetchone()
        return _State(change, count, latest, 1 + (sequence[0] if sequence else 0), pending)


def _seal(values: Sequence[object]) -> int:
    """A checksum over what of a gallery does not change."""
    return zlib.crc32("\x1f".join(map(str, values)).encode())
