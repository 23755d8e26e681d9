"""The SQLite file that keys are kept in: how it is made, opened and read."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from service.access.errors import KeyStoreError
from service.access.key import Key, check_scopes
from service.access.rates import Rate

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
_COLUMNS = (
    "id, sha256, name, scopes, galleries, purpose, per_second, burst, created_at, expires_at, revoked_at, last_used"
)
_INSERT = f"INSERT INTO keys ({_COLUMNS}) VALUES ({', '.join('?' * 12)})"


def make(path: Path) -> None:
    """Makes the file, readable for its owner only, unless it is there; two processes may do so at once.

    It is made beside its place and then linked there, so nobody ever opens half a file.
    """
    if path.exists():
        return
    with told(path):
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


def connect(path: Path, *, synchronous: str, wait: float = WAIT_SECONDS) -> sqlite3.Connection:
    """A connection to a file that is there and ours; transactions are the caller's to begin."""
    with told(path), contextlib.ExitStack() as undo:
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


def read(connection: sqlite3.Connection) -> list[tuple[Key, bytes]]:
    """All keys with the hashes of their secrets, in the order in which they were made."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM keys ORDER BY created_at, id").fetchall()
    try:
        return [(_key(row), row[1]) for row in rows]
    except ValueError as error:  # also of what was written there by hand
        raise KeyStoreError(f"the file of keys is damaged ({error}): put it back from a backup") from error


def insert(connection: sqlite3.Connection, key: Key, sha256: bytes) -> None:
    rate = (None, None) if key.rate is None else (key.rate.per_second, key.rate.burst)
    times = (_text(at) for at in (key.created_at, key.expires_at, key.revoked_at, key.last_used))
    galleries = None if key.galleries is None else ",".join(key.galleries)
    connection.execute(_INSERT, (key.id, sha256, key.name, ",".join(key.scopes), galleries, key.purpose, *rate, *times))


def set_time(connection: sqlite3.Connection, id: str, column: str, at: datetime) -> None:
    connection.execute(f"UPDATE keys SET {column} = ? WHERE id = ?", (_text(at), id))


@contextmanager
def told(path: Path) -> Iterator[None]:
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


def _key(row: Sequence[Any]) -> Key:
    id, _, name, scopes, galleries, purpose, per_second, burst, *times = row
    created, expires, revoked, used = (None if text is None else datetime.fromisoformat(text) for text in times)
    assert created is not None
    return Key(
        id=id,
        name=name,
        scopes=check_scopes(scopes.split(",")),
        galleries=None if galleries is None else tuple(galleries.split(",")),
        purpose=purpose,
        rate=None if per_second is None else Rate(per_second, burst),
        created_at=created,
        expires_at=expires,
        revoked_at=revoked,
        last_used=used,
    )


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
