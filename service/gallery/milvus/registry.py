"""Which galleries there are, in which collections, and how far each has come: read anew with every request."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from service.gallery.embedded.truth import Erased
from service.gallery.errors import ExistsError
from service.gallery.milvus.entry import Entry, no_such, of_row, progress
from service.gallery.milvus.remembered import remember
from service.gallery.milvus.shared_database import SharedDatabase
from service.gallery.milvus.tables import COPIES, GALLERIES, LEFT_OVER, OF_A_GALLERY
from service.gallery.searching import Feedback

FORGOTTEN = 3600.0  # seconds after which a collection that was being made is nobody's any more
COPY_FORGOTTEN = 7 * 86_400.0  # ... and one that was being copied: whoever stopped it may go on next week


class Registry:
    """Every method is one transaction, or none where it only reads."""

    def __init__(self, database: SharedDatabase) -> None:
        self._database = database

    def names(self) -> tuple[str, ...]:
        with self._database.reading() as connection:
            return tuple(sorted(connection.scalars(sa.select(GALLERIES.c.name))))

    def entry(self, name: str) -> Entry:
        """The gallery of that name."""
        with self._database.reading() as connection:
            return self._entry(connection, name)

    def again(self, entry: Entry) -> Entry | None:
        """The same gallery as it is now, whatever its name; None if it was dropped."""
        with self._database.reading() as connection:
            found = connection.execute(sa.select(GALLERIES).where(GALLERIES.c.collection == entry.collection)).first()
        return None if found is None else of_row(found)

    def check_free(self, name: str) -> None:
        """ExistsError if there is a gallery of that name."""
        if name in self.names():
            raise _exists(name)

    def reserve(self) -> str:
        """The name of a collection that is about to be made; unless it is published it will be dropped."""
        collection = f"vantage_{secrets.token_hex(16)}"
        with self._database.writing() as connection:
            connection.execute(LEFT_OVER.insert().values(collection=collection, since=int(time.time())))
        return collection

    def publish(
        self,
        entry: Entry,
        *,
        replace: bool = False,
        feedback: Sequence[Feedback] = (),
        erased: Iterable[Erased] = (),
        denied: Iterable[bytes] = (),
    ) -> str | None:
        """Makes a reserved collection a gallery; returns the collection that it replaced, which is to be dropped."""
        with self._database.writing() as connection:
            gone = self._make_way(connection, entry.name, replace)
            connection.execute(
                GALLERIES.insert().values(
                    **{column.name: getattr(entry, column.name) for column in GALLERIES.c}
                    | {"settings": entry.settings.model_dump_json()}
                )
            )
            connection.execute(LEFT_OVER.delete().where(LEFT_OVER.c.collection == entry.collection))
            remember(connection, entry, feedback, erased, denied)
        return gone

    def withdraw(self, name: str) -> str:
        """Takes a gallery off the list; returns its collection, which is to be dropped."""
        with self._database.writing() as connection:
            entry = self._entry(connection, name)
            self._forget(connection, entry.collection)
        return entry.collection

    def rename(self, name: str, to: str, *, replace: bool) -> str | None:
        """Returns the collection of the gallery that bore the name, which is to be dropped."""
        with self._database.writing() as connection:
            entry = self._entry(connection, name)
            if name == to:
                return None
            gone = self._make_way(connection, to, replace)
            connection.execute(GALLERIES.update().where(GALLERIES.c.collection == entry.collection).values(name=to))
        return gone

    def dropped(self, collection: str) -> None:
        """A collection that is no more need not be remembered."""
        with self._database.writing() as connection:
            for table in (LEFT_OVER, COPIES):
                connection.execute(table.delete().where(table.c.collection == collection))

    def forgotten(self) -> list[str]:
        """Collections whose making, or dropping, was stopped long ago, and copies that nobody goes on with."""
        now = time.time()
        left = sa.select(LEFT_OVER.c.collection).where(LEFT_OVER.c.since < int(now - FORGOTTEN))
        unpublished = COPIES.c.collection.not_in(sa.select(GALLERIES.c.collection))
        begun = sa.select(COPIES.c.collection).where(unpublished, COPIES.c.begun < int(now - COPY_FORGOTTEN))
        with self._database.reading() as connection:
            return [*connection.scalars(left), *connection.scalars(begun)]

    def give_up(self, collection: str) -> None:
        """A copy that is no gallery will not be one: its collection is to be dropped."""
        with self._database.writing() as connection:
            self._forget(connection, collection)

    # ---- writes to a gallery: in turn --------------------------------------------------------------------------------

    def reserve_keys(self, entry: Entry, count: int) -> int:
        """Keys that are nobody's and will be nobody else's: the first of `count`, which follow one another."""
        with self._database.writing() as connection:
            connection.execute(
                GALLERIES.update()
                .where(GALLERIES.c.collection == entry.collection)
                .values(next_key=GALLERIES.c.next_key + count)
            )
            after = connection.scalar(sa.select(GALLERIES.c.next_key).where(GALLERIES.c.collection == entry.collection))
        if after is None:
            raise no_such(entry.name, ())
        return int(after) - count

    def keys_up_to(self, entry: Entry, key: int) -> None:
        """Keys up to this one are of items, or about to be: whoever walks through the gallery goes so far."""
        with self._database.writing() as connection:
            fewer = (GALLERIES.c.collection == entry.collection) & (GALLERIES.c.next_key <= key)
            connection.execute(GALLERIES.update().where(fewer).values(next_key=key + 1))

    def wrote(self, entry: Entry, seen: int, latest: int, *, faithful: bool = False) -> None:
        """Acknowledges a write to the collection: every later request waits until it is seen.

        faithful: if the gallery is a copy of another, it stays one.
        """
        with self._database.writing() as connection:
            progress(connection, entry, seen, latest, faithful=faithful)

    def noted(self, entry: Entry, seen: int) -> None:
        """What is kept beside items was written, and the items are as they were: no change, but to be seen."""
        with self._database.writing() as connection:
            later = (GALLERIES.c.collection == entry.collection) & (GALLERIES.c.seen < seen)
            connection.execute(GALLERIES.update().where(later).values(seen=seen))

    # ---- within ------------------------------------------------------------------------------------------------------

    def _entry(self, connection: sa.Connection, name: str) -> Entry:
        found = connection.execute(sa.select(GALLERIES).where(GALLERIES.c.name == name)).first()
        if found is None:
            raise no_such(name, sorted(connection.scalars(sa.select(GALLERIES.c.name))))
        return of_row(found)

    def _make_way(self, connection: sa.Connection, name: str, replace: bool) -> str | None:
        there = connection.scalar(sa.select(GALLERIES.c.collection).where(GALLERIES.c.name == name))
        if there is None:
            return None
        if not replace:
            raise _exists(name)
        self._forget(connection, there)
        return str(there)

    def _forget(self, connection: sa.Connection, collection: str) -> None:
        for table in (GALLERIES, *OF_A_GALLERY):
            connection.execute(table.delete().where(table.c.collection == collection))
        connection.execute(LEFT_OVER.insert().values(collection=collection, since=int(time.time())))


def _exists(name: str) -> ExistsError:
    return ExistsError(f"there is a gallery {name!r} already: choose another name, or drop it first")
