"""The writes of one commit."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from service.gallery.embedded.preparing import Written, equal, expiry, prepared
from service.gallery.embedded.rows import (
    HALF,
    STORED_COLUMNS,
    Row,
    Stored,
    indexed_vector,
    metadata_pairs,
    microseconds,
)
from service.gallery.engine import OnConflict
from service.gallery.errors import BadItemError, ModelMismatchError, NoSuchItemError
from service.gallery.items import NewItem
from service.gallery.reports import AddResult
from service.gallery.searching import Feedback
from service.gallery.settings import GallerySettings

KeepCrops = Callable[[Sequence[bytes]], object]


@dataclass(frozen=True, slots=True)
class Identity:
    """What of a gallery does not change while it is open."""

    name: str
    settings: GallerySettings
    lineage: str
    secret: bytes


@dataclass(slots=True)
class _Progress:
    """What a part that fails takes back: how long each list was, and the counters."""

    written: int
    orphaned: int
    next_key: int
    latest: int
    forgotten_feedback: int
    changed: bool


class Transaction:
    """Made by `Truth.transaction`. After the commit `added`, `vectors` and `removed` hold its net effect.

    added               the rows that are new, in order of their keys, which are larger than any before.
    vectors             float32 (len(added), D), as indexed.
    removed             the keys that are no more, of those that were there before.
    orphaned_crops      hashes of kept crops that no item names any more: files to unlink after the commit.
    forgotten_feedback  how many pairs went because an item of theirs did.
    """

    def __init__(self, connection: sqlite3.Connection, identity: Identity, next_key: int, latest: int) -> None:
        self._connection, self._identity = connection, identity
        self._next_key, self.latest = next_key, latest
        self._written: list[Written] = []
        self._kept: set[str] = set()
        self._lost: Exception | None = None
        self.changed = False
        self.added: list[Row] = []
        self.vectors: npt.NDArray[np.float32] = np.empty((0, identity.settings.dimension), np.float32)
        self.removed: list[int] = []
        self.orphaned_crops: list[str] = []
        self.forgotten_feedback = 0

    @contextmanager
    def part(self) -> Iterator[None]:
        """Writes that fail by themselves: an error within undoes these and no others of the transaction.

        But for a full disk, where SQLite may undo everything: then what follows, and the commit, fail too.
        """
        self._check_alive()
        before = _Progress(
            len(self._written),
            len(self.orphaned_crops),
            self._next_key,
            self.latest,
            self.forgotten_feedback,
            self.changed,
        )
        self._connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO part")
                self._connection.execute("RELEASE part")
            elif isinstance(error, Exception):
                self._lost = error
            del self._written[before.written :]
            del self.orphaned_crops[before.orphaned :]
            self._next_key, self.latest = before.next_key, before.latest
            self.forgotten_feedback, self.changed = before.forgotten_feedback, before.changed
            raise
        self._connection.execute("RELEASE part")

    # ---- items -------------------------------------------------------------------------------------------------------

    def add(
        self, items: Sequence[NewItem], on_conflict: OnConflict, now: datetime, keep: KeepCrops | None = None
    ) -> tuple[AddResult, ...]:
        """Adds items, or replaces them; what is there already, equal in everything, is left as it is.

        keep  called once with the pictures that must be on the disk before the commit, where the gallery keeps them;
              without it they have to be there already.
        """
        self._check_alive()
        for item in items:
            self._check(item)
        time = max(microseconds(now), self.latest)
        before = self._stored_by_id([item.id for item in items])
        current = dict(before)
        denied = self._denied(item.id for item in items) if self._identity.settings.deny_erased else ()
        pictures: dict[str, bytes] = {}
        results: list[AddResult] = []
        for item in items:
            there = current.get(item.id)
            if item.id in denied:
                results.append(AddResult(id=item.id, outcome="denied"))
                continue
            # What has expired is not found any more, so it is no hindrance either.
            expired = there is not None and there.stored.expires_at is not None and there.stored.expires_at <= time
            since = there.stored.added_at if there is not None and not expired else time
            new = self._prepared(item, time, since, pictures)
            if there is not None and equal(there, new):
                results.append(AddResult(id=item.id, outcome="unchanged"))
            elif there is not None and not expired and on_conflict == "refuse":
                results.append(AddResult(id=item.id, outcome="refused"))
            else:
                fresh = new.stored._replace(key=self._next_key, expires_at=expiry(item, self._identity.settings, time))
                current[item.id] = replace(new, stored=fresh)
                self._next_key += 1
                if fresh.crop is not None and fresh.has_crop and item.crop is not None:
                    pictures[fresh.crop] = item.crop
                found = there is not None and not expired
                results.append(AddResult(id=item.id, outcome="replaced" if found else "added"))
        changed = {id: entry for id, entry in current.items() if entry is not before.get(id)}
        if changed:
            # Remembered before it is done: a part that fails takes this back, and its crops are unlinked at the end.
            self._kept.update(pictures)
            if keep is not None and pictures:
                keep(list(pictures.values()))
            self._remove([before[id].stored for id in changed if id in before])
            self._insert(sorted(changed.values(), key=lambda entry: entry.stored.key))
            self.latest = time
        return tuple(results)

    def delete(self, keys: Sequence[int]) -> int:
        """Deletes the items that are there, with the feedback that speaks of them, and returns how many those were."""
        self._check_alive()
        found = [
            Stored(*row)
            for row in self._connection.execute(
                f"SELECT {STORED_COLUMNS} FROM items WHERE key IN (SELECT value FROM json_each(?))",
                (json.dumps([int(key) for key in keys]),),
            )
        ]
        if not found:
            return 0
        ids = json.dumps([stored.id for stored in found], ensure_ascii=False)
        self.forgotten_feedback += self._connection.execute(
            "DELETE FROM feedback WHERE item IN (SELECT value FROM json_each(?1)) "
            "OR (of_item = 1 AND probe IN (SELECT value FROM json_each(?1)))",
            (ids,),
        ).rowcount
        self._connection.executemany(
            "INSERT INTO erased VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET up_to_key = excluded.up_to_key",
            [(stored.id, self._identity.lineage, stored.key) for stored in found],
        )
        if self._identity.settings.deny_erased:
            self.deny(stored.id for stored in found)
        self._remove(found)
        return len(found)

    def keys_of(self, ids: Sequence[str]) -> dict[str, int]:
        """The keys of the items that are there, what this transaction has written included."""
        return dict(
            self._connection.execute(
                "SELECT id, key FROM items WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps(list(ids), ensure_ascii=False),),
            )
        )

    def deny(self, ids: Iterable[str]) -> None:
        """Lets nobody add these ids any more."""
        self._connection.executemany("INSERT OR IGNORE INTO denied VALUES (?)", [(self._hash(id),) for id in ids])
        self.changed = True

    def forget(self, ids: Iterable[str]) -> None:
        """Strikes ids off the list of what was deleted."""
        self._connection.executemany("DELETE FROM erased WHERE id = ?", [(id,) for id in ids])
        self.changed = True

    # ---- feedback ----------------------------------------------------------------------------------------------------

    def put_feedback(self, feedback: Sequence[Feedback], now: datetime) -> None:
        """Remembers pairs, in place of what was said of them before; NoSuchItemError for an item that is not there."""
        self._check_alive()
        named = {pair.item for pair in feedback} | {pair.probe_item for pair in feedback if pair.probe_item is not None}
        there = self.keys_of(list(named))
        for id in sorted(named):
            if id not in there:
                raise NoSuchItemError(f"there is no item {id!r} in gallery {self._identity.name!r}")
        self._connection.executemany(
            "INSERT INTO feedback VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET verdict = excluded.verdict, said_at = excluded.said_at",
            [(*pair_key(pair), pair.verdict, microseconds(now)) for pair in feedback],
        )
        self.changed = self.changed or bool(feedback)

    def withdraw_feedback(self, feedback: Sequence[Feedback]) -> int:
        """Forgets pairs, whatever the verdict, and returns how many there were."""
        self._check_alive()
        gone = sum(
            self._connection.execute(
                "DELETE FROM feedback WHERE of_item = ? AND probe = ? AND item = ?", pair_key(pair)
            ).rowcount
            for pair in feedback
        )
        self.changed = self.changed or gone > 0
        return gone

    # ---- the end -----------------------------------------------------------------------------------------------------

    @property
    def growth(self) -> int:
        return sum(1 if entry.vector is not None else -1 for entry in self._written)

    def settle(self) -> None:
        """Works out the net effect, just before the commit."""
        self._check_alive()
        came: dict[int, Written] = {}
        for entry in self._written:
            key = entry.stored.key
            if entry.vector is not None:
                came[key] = entry
            elif came.pop(key, None) is None:
                self.removed.append(key)
        self.added = [entry.stored.row for entry in came.values()]
        if came:
            blob = b"".join(entry.vector for entry in came.values() if entry.vector is not None)
            self.vectors = indexed_vector(np.frombuffer(blob, HALF).reshape(len(came), -1))
        # An item added since may name a crop again; a part that failed may have left some that nobody names.
        self.orphaned_crops = self._unnamed({*self.orphaned_crops, *self._kept})

    # ---- within ------------------------------------------------------------------------------------------------------

    def _check_alive(self) -> None:
        if self._lost is not None:
            raise self._lost

    def _check(self, item: NewItem) -> None:
        settings = self._identity.settings
        if len(item.vector) != settings.dimension:
            raise ModelMismatchError(
                f"the vector of {item.id!r} has {len(item.vector)} dimensions and those of gallery "
                f"{self._identity.name!r} {settings.dimension}: use its model, {settings.model_name}"
            )
        if item.crop is not None and item.crop_sha256 is not None:
            found = hashlib.sha256(item.crop).hexdigest()
            if found != item.crop_sha256:
                raise BadItemError(
                    f"the crop of {item.id!r} has sha256 {found[:12]}.., not {item.crop_sha256[:12]}..: leave one out"
                )

    def _prepared(self, item: NewItem, time: int, since: int, pictures: Collection[str]) -> Written:
        crop = item.crop_sha256 or (None if item.crop is None else hashlib.sha256(item.crop).hexdigest())
        kept = False
        if crop is not None and self._identity.settings.store_crops:
            kept = item.crop is not None or crop in pictures or not self._unnamed({crop})
        return prepared(item, self._identity.settings, time, since, crop, kept)

    def _stored_by_id(self, ids: Sequence[str]) -> dict[str, Written]:
        columns = ", ".join(f"items.{name}" for name in Stored._fields)
        return {
            row[1]: Written(Stored(*row[:-1]), row[-1])
            for row in self._connection.execute(
                f"SELECT {columns}, vector FROM items JOIN vectors USING (key) "
                "WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps(ids, ensure_ascii=False),),
            )
        }

    def _remove(self, gone: Sequence[Stored]) -> None:
        if not gone:
            return
        for table in ("vectors", "items"):
            self._connection.executemany(f"DELETE FROM {table} WHERE key = ?", [(stored.key,) for stored in gone])
        self._connection.executemany(
            "DELETE FROM metadata_values WHERE field = ? AND value = ? AND key = ?",
            [(*pair, stored.key) for stored in gone for pair in metadata_pairs(stored.metadata)],
        )
        self._written.extend(Written(stored, None) for stored in gone)
        self.orphaned_crops.extend(
            self._unnamed({stored.crop for stored in gone if stored.has_crop and stored.crop is not None})
        )
        self.changed = True

    def _insert(self, entries: Sequence[Written]) -> None:
        self._connection.executemany(
            f"INSERT INTO items ({STORED_COLUMNS}, seal) VALUES ({', '.join('?' * (len(Stored._fields) + 1))})",
            [(*entry.stored, entry.stored.seal) for entry in entries],
        )
        self._connection.executemany(
            "INSERT INTO vectors (key, seal, vector) VALUES (?, ?, ?)",
            [(entry.stored.key, zlib.crc32(entry.vector or b""), entry.vector) for entry in entries],
        )
        self._connection.executemany(
            "INSERT INTO metadata_values (field, value, key) VALUES (?, ?, ?)",
            [(*pair, entry.stored.key) for entry in entries for pair in metadata_pairs(entry.stored.metadata)],
        )
        self._written.extend(entries)
        self.changed = True

    def _unnamed(self, crops: Collection[str]) -> list[str]:
        """Those of the hashes that no item names which keeps its picture."""
        if not crops:
            return []
        named = {
            crop
            for (crop,) in self._connection.execute(
                "SELECT DISTINCT crop FROM items WHERE has_crop = 1 AND crop IN (SELECT value FROM json_each(?))",
                (json.dumps(sorted(crops)),),
            )
        }
        return sorted(set(crops) - named)

    def _denied(self, ids: Iterable[str]) -> set[str]:
        by_hash = {self._hash(id): id for id in ids}
        return {
            id
            for hash, id in by_hash.items()
            if self._connection.execute("SELECT 1 FROM denied WHERE hash = ?", (hash,)).fetchone()
        }

    def _hash(self, id: str) -> bytes:
        return hmac.digest(self._identity.secret, id.encode(), "sha256")


def pair_key(pair: Feedback) -> tuple[int, str, str]:
    """By what a pair is found in the table of feedback."""
    probe = pair.probe_item if pair.probe_item is not None else pair.probe_name
    assert probe is not None
    return int(pair.probe_item is not None), probe, pair.item
