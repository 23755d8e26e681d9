"""The SQLite file of a data directory that keys are kept in."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from service.access.errors import KeyStoreError
from service.access.key import Key
from service.access.key_rows import COLUMNS, key_of, row_of

APPLICATION_ID = 0x56616B79  # "Vaky"
VERSION = 1
WAIT_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    sha256 BLOB NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    galleries TEXT,
    purpose TEXT,
    per_second REAL,
    burst INTEGER,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT,
    last_used TEXT
) STRICT, WITHOUT ROWID
"""
_INSERT = f"INSERT INTO keys ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


class KeyFile:
    """Where a `KeyStore` keeps its keys by default. One thread at a time asks; any may note a use meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _make(path)
        with contextlib.ExitStack() as undo:
            self._connection = undo.enter_context(contextlib.closing(_connect(path, synchronous="FULL")))
            # Without a wait for others and without fsync: when a key was last used may be lost.
            self._uses = undo.enter_context(contextlib.closing(_connect(path, synchronous="NORMAL", wait=0)))
            self._using = threading.Lock()
            self._file = self._identity()
            undo.pop_all()

    def version(self) -> int:
        with _told(self.path):
            if self._identity() != self._file:
                raise KeyStoreError(
                    f"{self.path} was removed or replaced while it was in use: put it back, and start the service "
                    "again; nobody is let in meanwhile"
                )
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def read(self) -> list[tuple[Key, bytes]]:
        with _told(self.path):
            rows = self._connection.execute(f"SELECT {', '.join(COLUMNS)} FROM keys ORDER BY created_at, id").fetchall()
        return [key_of(row) for row in rows]

    def insert(self, key: Key, sha256: bytes) -> None:
        with _told(self.path):
            self._connection.execute(_INSERT, row_of(key, sha256))

    def revoke(self, id: str, at: datetime) -> bool:
        with _told(self.path):
            found = self._connection.execute(
                "UPDATE keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (at.isoformat(), id)
            )
        return found.rowcount == 1

    def note_use(self, id: str, at: datetime) -> None:
        with self._using, contextlib.suppress(sqlite3.Error):
            self._uses.execute("UPDATE keys SET last_used = ? WHERE id = ?", (at.isoformat(), id))

    def close(self) -> None:
        self._connection.close()
        with self._using:
            self._uses.close()

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)  # noqa: PTH116 - once in a while on the way of a request
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino


def _make(path: Path) -> None:
    """Makes the file, readable for its owner only, unless it is there; two processes may do so at once.

    It is made beside its place and then linked there, so nobody ever opens half a file.
    """
    if path.exists():
        return
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            with closing(sqlite3.connect(temporary, isolation_level=None)) as made:
                made.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                made.execute(f"PRAGMA user_version = {VERSION}")
                made.execute(_SCHEMA)
                made.execute("PRAGMA journal_mode = WAL").fetchone()  # a property of the file from here on
            _sync(temporary)
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
            _sync(path.parent)
        finally:
            temporary.unlink()


def _connect(path: Path, *, synchronous: str, wait: float = WAIT_SECONDS) -> sqlite3.Connection:
    """A connection to a file that is there and ours; transactions are the caller's to begin."""
    with _told(path), contextlib.ExitStack() as undo:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        connection = undo.enter_context(
            closing(sqlite3.connect(uri, uri=True, timeout=wait, isolation_level=None, check_same_thread=False))
        )
        ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if not ours or version != VERSION:
            what = f"is of a newer version ({version})" if ours else "is no file of keys of ours"
            raise KeyStoreError(f"{path} {what}: use the version that made it, or put the file back from a backup")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA secure_delete = ON").fetchone()
        undo.pop_all()
    return connection


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns the errors of SQLite and of the disk into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise KeyStoreError(
            f"the keys in {path} cannot be read or written ({error}): see that the file is there, yours and whole, "
            "and that its disk is not full; nothing was changed and nobody is let in meanwhile"
        ) from error
    except OSError as error:
        raise KeyStoreError(
            f"{path} cannot be made or opened ({error.strerror}): give a data directory that you may write to"
        ) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
