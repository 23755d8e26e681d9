"""What can be read of a gallery's database, by any thread."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from service.gallery.embedded.checking import check
from service.gallery.embedded.database import Database
from service.gallery.embedded.rows import HALF, ROW_COLUMNS, Row, Stored, comparable, indexed_vector
from service.gallery.errors import CorruptError, NoSuchItemError
from service.gallery.filters import Scalar
from service.gallery.items import Item
from service.gallery.reports import Finding
from service.gallery.searching import Feedback
from service.gallery.settings import GallerySettings

BLOCK = 4096  # rows read at once
Keys = npt.NDArray[np.int64]
ITEM_COLUMNS = ", ".join(f"items.{name}" for name in Stored._fields)


class Erased(NamedTuple):
    """An id that was deleted: its items of `lineage` with keys up to this one, and all of other lineages, must go."""

    id: str
    lineage: str
    up_to_key: int


class Reads:
    """Every method sees one committed state; two calls may see two. Ids that are asked for are taken as they are:
    `check_id` first."""

    def __init__(self, database: Database, settings: GallerySettings) -> None:
        self._database, self.settings = database, settings

    def keys(self) -> Keys:
        """All keys, int64, ascending."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT key FROM items ORDER BY key").fetchall()
        return np.fromiter((key for (key,) in found), np.int64, len(found))

    def rows(self) -> Iterator[Row]:
        """What filters ask about, in order of key."""
        with self._database.reading() as connection:
            cursor = connection.execute(f"SELECT {ROW_COLUMNS} FROM items ORDER BY key")
            while block := cursor.fetchmany(BLOCK):
                yield from map(Row._make, block)

    def vectors(self, keys: Sequence[int] | Keys | None = None) -> npt.NDArray[np.float32]:
        """The vectors as indexed, float32 (n, D): of these keys, in their order, or of all, in order of key."""
        width = self.settings.dimension * HALF.itemsize
        with self._database.reading() as connection:
            connection.execute("BEGIN")  # the count and the rows are of one state
            if keys is None:
                (count,) = connection.execute("SELECT count(*) FROM vectors").fetchone()
                cursor = connection.execute("SELECT vector FROM vectors ORDER BY key")
            else:
                count = len(keys)
                cursor = connection.execute(
                    "SELECT vector FROM json_each(?) AS wanted CROSS JOIN vectors ON vectors.key = wanted.value",
                    (json.dumps([int(key) for key in keys]),),
                )
            found = np.empty((count, self.settings.dimension), np.float32)
            done = 0
            while block := cursor.fetchmany(BLOCK):
                blob = b"".join(vector for (vector,) in block)
                if len(blob) != width * len(block):
                    raise self._database.corrupt("a vector has not the size that its settings say")
                rows = np.frombuffer(blob, HALF).reshape(len(block), -1)
                found[done : done + len(block)] = indexed_vector(rows)
                done += len(block)
        if done < count:
            raise NoSuchItemError(f"{count - done} of {count} keys are of no item any more")
        if not np.isfinite(found).all():
            raise self._database.corrupt("a vector holds what is no number")
        return found

    def items(self, keys: Sequence[int] | Keys, vectors: bool = False) -> dict[int, Item]:
        """Those of the items that are there, by key, in the order asked for."""
        return self._items("key", [int(key) for key in keys], vectors)

    def item(self, id: str, vector: bool = False) -> tuple[int, Item] | None:
        """The item of that id and its key. To ask for the key and then for its item may miss one that is replaced."""
        return next(iter(self._items("id", [id], vector).items()), None)

    def _items(self, by: Literal["key", "id"], wanted: Sequence[int] | Sequence[str], vectors: bool) -> dict[int, Item]:
        columns, joined = ITEM_COLUMNS + ", items.seal", f"JOIN items ON items.{by} = wanted.value"
        if vectors:
            columns, joined = columns + ", vector", joined + " JOIN vectors ON vectors.key = items.key"
        with self._database.reading() as connection:
            found = connection.execute(
                f"SELECT {columns} FROM json_each(?) AS wanted CROSS {joined}",
                (json.dumps(wanted, ensure_ascii=False),),
            ).fetchall()
        last = len(Stored._fields)
        items: dict[int, Item] = {}
        for row in found:
            stored = Stored(*row[:last])
            if stored.seal != row[last]:
                raise self._database.corrupt(f"the item of key {stored.key} is not what was written")
            vector = indexed_vector(np.frombuffer(row[last + 1], HALF)[None])[0] if vectors else None
            items[stored.key] = stored.item(vector)
        return items

    def key_of(self, id: str) -> int | None:
        return self.keys_of([id]).get(id)

    def keys_of(self, ids: Sequence[str]) -> dict[str, int]:
        """The keys of those of the ids that are there."""
        with self._database.reading() as connection:
            return dict(
                connection.execute(
                    "SELECT items.id, items.key FROM json_each(?) AS asked CROSS JOIN items ON items.id = asked.value",
                    (json.dumps(list(ids), ensure_ascii=False),),
                )
            )

    def keys_with_metadata(self, field: str, value: Scalar) -> Keys:
        """The keys, int64, ascending, of items whose metadata has this value at its top: 1 equals 1.0, not true."""
        try:
            with self._database.reading() as connection:
                found = connection.execute(
                    "SELECT key FROM metadata_values WHERE field = ? AND value = ? ORDER BY key",
                    (field, comparable(value)),
                ).fetchall()
        except UnicodeEncodeError:  # a text that cannot be written cannot have been stored
            found = []
        return np.fromiter((key for (key,) in found), np.int64, len(found))

    def crop_hashes(self) -> set[str]:
        """The hashes of all pictures that are kept."""
        with self._database.reading() as connection:
            return {crop for (crop,) in connection.execute("SELECT DISTINCT crop FROM items WHERE has_crop = 1")}

    def feedback(self) -> tuple[Feedback, ...]:
        """Everything that was said."""
        with self._database.reading() as connection:
            return _pairs(connection.execute("SELECT of_item, probe, item, verdict FROM feedback").fetchall())

    def has_feedback(self) -> bool:
        with self._database.reading() as connection:
            return connection.execute("SELECT 1 FROM feedback LIMIT 1").fetchone() is not None

    def feedback_of(self, *, items: Sequence[str] = (), names: Sequence[str] = ()) -> tuple[Feedback, ...]:
        """What was said of probes that are one of these items, or are called one of these names."""
        if not items and not names:
            return ()
        with self._database.reading() as connection:
            return _pairs(
                connection.execute(
                    "SELECT of_item, probe, item, verdict FROM feedback "
                    "WHERE of_item = 1 AND probe IN (SELECT value FROM json_each(?)) "
                    "OR of_item = 0 AND probe IN (SELECT value FROM json_each(?))",
                    (json.dumps(list(items), ensure_ascii=False), json.dumps(list(names), ensure_ascii=False)),
                ).fetchall()
            )

    def erased(self) -> tuple[Erased, ...]:
        """What was deleted, and not replaced, since the last compaction."""
        with self._database.reading() as connection:
            return tuple(
                Erased(*row) for row in connection.execute("SELECT id, lineage, up_to_key FROM erased").fetchall()
            )

    def check(self) -> list[Finding]:
        """Looks at every row; what is wrong is a finding, not an error."""
        try:
            with self._database.reading() as connection:
                connection.execute("BEGIN")
                return check(connection, self.settings)
        except CorruptError as error:
            remedy = "restore a snapshot with `vantage gallery restore`"
            return [Finding(place="database", problem=str(error), remedy=remedy, serious=True)]


def _pairs(rows: Sequence[tuple[int, str, str, str]]) -> tuple[Feedback, ...]:
    return tuple(
        Feedback(item=item, verdict="same" if verdict == "same" else "different", probe_item=probe)
        if of_item
        else Feedback(item=item, verdict="same" if verdict == "same" else "different", probe_name=probe)
        for of_item, probe, item, verdict in rows
    )
