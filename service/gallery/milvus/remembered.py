"""What is remembered of items beside them: what was said, what was deleted, and what may not come back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from service.gallery.embedded.transaction import pair_key
from service.gallery.embedded.truth import Erased
from service.gallery.milvus.entry import Entry, progress
from service.gallery.milvus.shared_database import SharedDatabase, blocks, insert
from service.gallery.milvus.tables import DENIED, DONE, ERASED, FAITHFULLY, FEEDBACK, UNDER_WAY
from service.gallery.searching import Feedback


class Remembered:
    """Every method is one transaction, or none where it only reads. Writes are in turn, but for feedback's end."""

    def __init__(self, database: SharedDatabase) -> None:
        self._database = database

    # ---- deletions ---------------------------------------------------------------------------------------------------

    def about_to_erase(self, entry: Entry, keys: Sequence[tuple[str, int]], *, faithful: bool = False) -> None:
        """Remembers which items, by id and key, are going to be deleted, so that none is deleted and not listed."""
        with self._database.writing() as connection:
            self._strike(connection, entry, [id for id, _ in keys])
            done = FAITHFULLY if faithful else UNDER_WAY
            of = {"collection": entry.collection, "lineage": entry.lineage, "done": done}
            insert(connection, ERASED, [of | {"id": id, "up_to_key": key} for id, key in keys])

    def unfinished(self, entry: Entry) -> list[tuple[str, int]]:
        """The ids and keys of items whose deletion was stopped before it was known to be done."""
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(ERASED.c.id, ERASED.c.up_to_key).where(
                    ERASED.c.collection == entry.collection, ERASED.c.done != DONE
                )
            )
            return [(id, key) for id, key in rows]

    def unfinished_faithfully(self, entry: Entry) -> bool:
        """Whether a copy stays one whatever became of these: all of them are of one deletion."""
        with self._database.reading() as connection:
            how = sa.select(ERASED.c.done).where(ERASED.c.collection == entry.collection, ERASED.c.done != DONE)
            return set(connection.scalars(how.distinct())) == {FAITHFULLY}

    def not_erased(self, entry: Entry, ids: Sequence[str]) -> None:
        """Items that were to be deleted are there still."""
        with self._database.writing() as connection:
            self._strike(connection, entry, ids)

    def erased(self, entry: Entry, ids: Sequence[str], seen: int, latest: int, *, faithful: bool = False) -> int:
        """Items are deleted, and what was said of them goes; returns how many pairs of feedback that were."""
        forgotten = 0
        with self._database.writing() as connection:
            for block in blocks(ids):
                of = ERASED.c.collection == entry.collection
                connection.execute(
                    ERASED.update()
                    .where(of, ERASED.c.lineage == entry.lineage, ERASED.c.id.in_(block))
                    .values(done=DONE)
                )
                forgotten += connection.execute(
                    FEEDBACK.delete().where(
                        FEEDBACK.c.collection == entry.collection,
                        FEEDBACK.c.item.in_(block) | ((FEEDBACK.c.of_item == 1) & FEEDBACK.c.probe.in_(block)),
                    )
                ).rowcount
            if entry.settings.deny_erased:
                hashes = {entry.hash(id) for id in ids}
                known = self._denied(connection, entry, hashes)
                of_gallery = {"collection": entry.collection}
                insert(connection, DENIED, [of_gallery | {"hash": hash} for hash in sorted(hashes - known)])
            progress(connection, entry, seen, latest, faithful=faithful)
        return forgotten

    def purge_list(self, entry: Entry) -> tuple[Erased, ...]:
        """What was deleted, and not replaced, since the last compaction."""
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(ERASED.c.id, ERASED.c.lineage, ERASED.c.up_to_key).where(
                    ERASED.c.collection == entry.collection, ERASED.c.done == DONE
                )
            )
            return tuple(Erased(*row) for row in rows)

    def pending_purge(self, entry: Entry) -> int:
        with self._database.reading() as connection:
            count = sa.select(sa.func.count()).select_from(ERASED).where(ERASED.c.collection == entry.collection)
            return int(connection.scalar(count) or 0)

    def purged(self, entry: Entry, erased: Sequence[Erased]) -> None:
        """Nothing is left of these on disk: they need not be listed any more."""
        with self._database.writing() as connection:
            for pair in erased:
                connection.execute(
                    ERASED.delete().where(
                        ERASED.c.collection == entry.collection,
                        ERASED.c.id == pair.id,
                        ERASED.c.lineage == pair.lineage,
                        ERASED.c.up_to_key == pair.up_to_key,
                    )
                )

    def denied(self, entry: Entry, ids: Iterable[str]) -> set[str]:
        """Those of the ids that are not taken back."""
        by_hash = {entry.hash(id): id for id in ids}
        with self._database.reading() as connection:
            return {by_hash[hash] for hash in self._denied(connection, entry, by_hash)}

    def all_denied(self, entry: Entry) -> list[bytes]:
        with self._database.reading() as connection:
            return list(connection.scalars(sa.select(DENIED.c.hash).where(DENIED.c.collection == entry.collection)))

    # ---- feedback ----------------------------------------------------------------------------------------------------

    def feedback(self, entry: Entry) -> tuple[Feedback, ...]:
        """Everything that was said, in order of probe and item."""
        return self._said(entry, sa.true())

    def has_feedback(self, entry: Entry) -> bool:
        with self._database.reading() as connection:
            found = sa.select(FEEDBACK.c.item).where(FEEDBACK.c.collection == entry.collection).limit(1)
            return connection.execute(found).first() is not None

    def feedback_of(self, entry: Entry, items: Sequence[str], names: Sequence[str]) -> tuple[Feedback, ...]:
        """What was said of probes that are one of these items, or are called one of these names."""
        found: tuple[Feedback, ...] = ()
        for of_item, probes in ((1, items), (0, names)):
            for block in blocks(probes):
                found += self._said(entry, (FEEDBACK.c.of_item == of_item) & FEEDBACK.c.probe.in_(block))
        return found

    def put_feedback(self, entry: Entry, feedback: Sequence[Feedback]) -> None:
        """Remembers pairs, in place of what was said of them before."""
        latest = {pair_key(pair): pair for pair in feedback}
        with self._database.writing() as connection:
            for key in latest:
                connection.execute(FEEDBACK.delete().where(*_pair(entry, key)))
            insert(connection, FEEDBACK, feedback_rows(entry, latest.values()))
            if latest:
                progress(connection, entry, entry.seen, entry.latest)

    def withdraw_feedback(self, entry: Entry, feedback: Sequence[Feedback]) -> int:
        """Forgets pairs, whatever the verdict, and returns how many there were."""
        with self._database.writing() as connection:
            gone = sum(
                connection.execute(FEEDBACK.delete().where(*_pair(entry, pair_key(pair)))).rowcount for pair in feedback
            )
            if gone:
                progress(connection, entry, entry.seen, entry.latest)
        return gone

    # ---- within ------------------------------------------------------------------------------------------------------

    def _said(self, entry: Entry, condition: sa.ColumnElement[bool]) -> tuple[Feedback, ...]:
        columns = (FEEDBACK.c.of_item, FEEDBACK.c.probe, FEEDBACK.c.item, FEEDBACK.c.verdict)
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(*columns).where(FEEDBACK.c.collection == entry.collection, condition)
            ).all()
        return tuple(
            Feedback(item=item, verdict=verdict, **{"probe_item" if of_item else "probe_name": probe})
            for of_item, probe, item, verdict in sorted(tuple(row) for row in rows)
        )

    def _strike(self, connection: sa.Connection, entry: Entry, ids: Sequence[str]) -> None:
        for block in blocks(ids):
            connection.execute(
                ERASED.delete().where(
                    ERASED.c.collection == entry.collection,
                    ERASED.c.lineage == entry.lineage,
                    ERASED.c.id.in_(block),
                )
            )

    def _denied(self, connection: sa.Connection, entry: Entry, hashes: Collection[bytes]) -> set[bytes]:
        found: set[bytes] = set()
        for block in blocks(list(hashes)):
            where = (DENIED.c.collection == entry.collection) & DENIED.c.hash.in_(block)
            found.update(bytes(hash) for hash in connection.scalars(sa.select(DENIED.c.hash).where(where)))
        return found


def remember(
    connection: sa.Connection,
    entry: Entry,
    feedback: Iterable[Feedback],
    erased: Iterable[Erased],
    denied: Iterable[bytes],
) -> None:
    """All at once, of a gallery of which nothing is remembered."""
    of = {"collection": entry.collection}
    insert(connection, ERASED, [of | pair._asdict() | {"done": DONE} for pair in erased])
    insert(connection, DENIED, [of | {"hash": hash} for hash in denied])
    insert(connection, FEEDBACK, feedback_rows(entry, feedback))


def feedback_rows(entry: Entry, feedback: Iterable[Feedback]) -> list[dict[str, Any]]:
    """Rows of the table of feedback."""
    keys = ("of_item", "probe", "item")
    of = {"collection": entry.collection, "said_at": entry.now}
    return [of | dict(zip(keys, pair_key(pair), strict=True)) | {"verdict": pair.verdict} for pair in feedback]


def _pair(entry: Entry, key: tuple[int, str, str]) -> list[sa.ColumnElement[bool]]:
    of_item, probe, item = key
    return [
        FEEDBACK.c.collection == entry.collection,
        FEEDBACK.c.of_item == of_item,
        FEEDBACK.c.probe == probe,
        FEEDBACK.c.item == item,
    ]
