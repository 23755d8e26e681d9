"""Which galleries, and collections that are to become some, are copies of which, and how far each has come."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from service.gallery.embedded.truth import Erased
from service.gallery.milvus.entry import Entry
from service.gallery.milvus.remembered import remember
from service.gallery.milvus.shared_database import SharedDatabase
from service.gallery.milvus.tables import COPIES, DENIED, ERASED, FEEDBACK, GALLERIES, LEFT_OVER
from service.gallery.searching import Feedback
from service.gallery.settings import GallerySettings


@dataclass(frozen=True, slots=True)
class Copy:
    """See the table. name: what it was called when it was begun, or will be."""

    collection: str
    name: str
    settings: GallerySettings
    source: str
    lineage: str
    source_change: int
    whole: bool
    change: int

    def is_of(self, source: str, lineage: str) -> bool:
        return (self.source, self.lineage) == (source, lineage)


class Copies:
    """Every method is one transaction, or none where it only reads."""

    def __init__(self, database: SharedDatabase) -> None:
        self._database = database

    def of(self, collection: str) -> Copy | None:
        """What a gallery's collection is a copy of, if it is one."""
        return self._first(COPIES.c.collection == collection)

    def unpublished(self, name: str) -> Copy | None:
        """The collection that is to become the gallery of that name."""
        return self._first((COPIES.c.name == name) & COPIES.c.collection.not_in(sa.select(GALLERIES.c.collection)))

    def begin(self, copy: Copy) -> Copy:
        """A copy is begun, or gone on with: until it has come to its end its collection is not whole."""
        copy = replace(copy, whole=False)
        values = {column.name: getattr(copy, column.name) for column in COPIES.c if column.name != "begun"}
        values |= {"settings": copy.settings.model_dump_json(), "whole": 0, "begun": int(time.time())}
        with self._database.writing() as connection:
            for table in (COPIES, LEFT_OVER):
                connection.execute(table.delete().where(table.c.collection == copy.collection))
            connection.execute(COPIES.insert().values(values))
        return copy

    def whole(self, collection: str) -> None:
        """All that the copy that was begun last had to bring is there."""
        with self._database.writing() as connection:
            connection.execute(COPIES.update().where(COPIES.c.collection == collection).values(whole=1))

    def settle(
        self,
        entry: Entry,
        change: int,
        latest: int,
        next_key: int,
        feedback: Sequence[Feedback],
        erased: Sequence[Erased],
        denied: Sequence[bytes],
    ) -> None:
        """Remembers beside a gallery's items what is remembered where it is copied from, and nothing else. In turn."""
        change = max(entry.change + 1, change)
        with self._database.writing() as connection:
            for table in (FEEDBACK, ERASED, DENIED):
                connection.execute(table.delete().where(table.c.collection == entry.collection))
            remember(connection, entry, feedback, erased, denied)
            connection.execute(
                GALLERIES.update()
                .where(GALLERIES.c.collection == entry.collection)
                .values(change=change, latest=max(entry.latest, latest), next_key=max(entry.next_key, next_key))
            )
            connection.execute(COPIES.update().where(COPIES.c.collection == entry.collection).values(change=change))

    def _first(self, condition: sa.ColumnElement[bool]) -> Copy | None:
        with self._database.reading() as connection:
            found = connection.execute(sa.select(COPIES).where(condition).order_by(COPIES.c.begun.desc())).first()
        if found is None:
            return None
        values = dict(found._mapping)
        del values["begun"]
        settings = GallerySettings.model_validate_json(values.pop("settings"))
        return Copy(**values | {"settings": settings, "whole": bool(values["whole"])})
