"""A gallery as one file: the database of the embedded engine, which is what a snapshot holds whoever took it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from service.gallery.embedded.database import Database, read_only_copy, told
from service.gallery.embedded.preparing import Written
from service.gallery.embedded.reads import _pairs
from service.gallery.embedded.rows import STORED_COLUMNS, Stored
from service.gallery.embedded.transaction import Identity, Transaction, pair_key
from service.gallery.embedded.truth import FIXED, Erased, _seal
from service.gallery.milvus.entry import Entry
from service.gallery.searching import Feedback
from service.gallery.settings import GallerySettings

BLOCK = 500
ALWAYS = -(2**62)  # a time before every item's end
ALIVE = "(expires_at IS NULL OR expires_at > ?1)"


class GalleryFile:
    """Being written: items come and go until `finish`."""

    def __init__(self, path: Path, entry: Entry) -> None:
        self._database = Database.create(path)
        self._writer = self._database.writer
        self._writer.execute("BEGIN IMMEDIATE")
        identity = Identity(entry.name, entry.settings, entry.lineage, entry.secret)
        self._items = Transaction(self._writer, identity, 1, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")
        self._database.close()

    def put(self, items: Sequence[Written]) -> None:
        """Items in place of those of the same ids."""
        self._remove("id IN (SELECT value FROM json_each(?))", json.dumps([one.stored.id for one in items]))
        self._items._insert(items)

    def remove(self, gone: Iterable[Erased]) -> None:
        """What was deleted of it since it was read."""
        for pair in gone:
            self._remove("id = ? AND key <= ?", pair.id, pair.up_to_key)

    def finish(
        self, entry: Entry, feedback: Sequence[Feedback], erased: Sequence[Erased], denied: Sequence[bytes]
    ) -> None:
        """The rest of the gallery as it is now; afterwards the file is whole."""
        fixed = (
            entry.name,
            entry.settings.model_dump_json(),
            entry.created_at,
            entry.identity,
            entry.lineage,
            entry.secret,
        )
        (count,) = self._writer.execute("SELECT count(*) FROM items").fetchone()
        self._writer.execute(
            f"INSERT INTO gallery ({FIXED}, seal, change, count, latest, unpurged) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (*fixed, _seal(fixed), entry.change, count, entry.latest),
        )
        self._writer.executemany(
            "INSERT INTO feedback VALUES (?, ?, ?, ?, ?)",
            [(*pair_key(pair), pair.verdict, entry.latest) for pair in feedback],
        )
        self._writer.executemany("INSERT INTO erased VALUES (?, ?, ?)", erased)
        self._writer.executemany("INSERT INTO denied VALUES (?)", [(hash,) for hash in denied])
        self._writer.execute("COMMIT")

    def _remove(self, condition: str, *values: object) -> None:
        rows = self._writer.execute(f"SELECT {STORED_COLUMNS} FROM items WHERE {condition}", values).fetchall()
        self._items._remove([Stored(*row) for row in rows])


@dataclass(frozen=True, slots=True)
class Kept:
    """What a file says of its gallery, but for the items."""

    settings: GallerySettings
    created_at: int
    identity: str
    secret: bytes
    change: int
    latest: int
    next_key: int
    feedback: tuple[Feedback, ...]
    erased: tuple[Erased, ...]
    denied: tuple[bytes, ...]

    def entry(self, name: str, collection: str, seen: int) -> Entry:
        """The gallery that it is in a collection."""
        return Entry(
            name,
            collection,
            self.settings,
            self.created_at,
            self.identity,
            self.secret,
            self.change,
            self.latest,
            self.next_key,
            seen,
        )


class FileReader:
    """Of a file that nobody writes to; made by `reading`. What has expired by `alive_at` is not there for it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def kept(self) -> Kept:
        settings, created_at, identity, secret, change, latest = self._connection.execute(
            "SELECT settings, created_at, identity, secret, change, latest FROM gallery"
        ).fetchone()
        (last,) = self._connection.execute(
            "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'items'), 0), "
            "coalesce((SELECT max(key) FROM items), 0))"
        ).fetchone()
        return Kept(
            GallerySettings.model_validate_json(settings),
            created_at,
            identity,
            secret,
            change,
            latest,
            last + 1,
            _pairs(self._connection.execute("SELECT of_item, probe, item, verdict FROM feedback").fetchall()),
            tuple(Erased(*row) for row in self._connection.execute("SELECT id, lineage, up_to_key FROM erased")),
            tuple(hash for (hash,) in self._connection.execute("SELECT hash FROM denied")),
        )

    def items(self, keys: Sequence[int] | None = None, *, alive_at: int = ALWAYS) -> Iterator[list[Written]]:
        """Its items, or those of some keys, with their vectors, some at a time, in order of their keys."""
        columns = ", ".join(f"items.{name}" for name in Stored._fields)
        wanted = "" if keys is None else " AND items.key IN (SELECT value FROM json_each(?2))"
        cursor: sqlite3.Cursor = self._connection.execute(
            f"SELECT {columns}, vector FROM items JOIN vectors USING (key) WHERE {ALIVE}{wanted} ORDER BY items.key",
            (alive_at,) if keys is None else (alive_at, json.dumps(list(keys))),
        )
        while block := cursor.fetchmany(BLOCK):
            yield [Written(Stored(*row[:-1]), row[-1]) for row in block]

    def keys(self, *, alive_at: int) -> npt.NDArray[np.int64]:
        """All keys, int64, ascending."""
        found = self._connection.execute(f"SELECT key FROM items WHERE {ALIVE} ORDER BY key", (alive_at,))
        return np.fromiter((key for (key,) in found), np.int64)

    def ids_among(self, ids: Sequence[str], *, alive_at: int) -> set[str]:
        """Those of the ids that an item bears."""
        found = self._connection.execute(
            f"SELECT id FROM items WHERE {ALIVE} AND id IN (SELECT value FROM json_each(?2))",
            (alive_at, json.dumps(list(ids), ensure_ascii=False)),
        )
        return {id for (id,) in found}


@contextmanager
def reading(path: Path) -> Iterator[FileReader]:
    with told(path), closing(read_only_copy(path)) as connection:
        yield FileReader(connection)
