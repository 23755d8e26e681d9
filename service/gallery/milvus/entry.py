"""A gallery as the shared database knows it at one moment."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from service.gallery.embedded.rows import instant, microseconds
from service.gallery.errors import NoSuchGalleryError
from service.gallery.milvus.tables import COPIES, GALLERIES
from service.gallery.settings import GallerySettings


@dataclass(frozen=True, slots=True)
class Entry:
    """A gallery at one moment. Two with the same collection are the same gallery, whatever its name."""

    name: str
    collection: str
    settings: GallerySettings
    created_at: int
    identity: str
    secret: bytes
    change: int
    latest: int
    next_key: int
    seen: int

    @property
    def now(self) -> int:
        """The time in microseconds, which does not go back behind the last write: what has expired stays so."""
        return max(microseconds(datetime.now(UTC)), self.latest)

    @property
    def lineage(self) -> str:
        """Keys can be compared within one collection only."""
        return self.collection[-32:]

    def hash(self, id: str) -> bytes:
        return hmac.digest(self.secret, id.encode(), "sha256")


def made_now(name: str, collection: str, settings: GallerySettings) -> Entry:
    """A gallery that is new, and empty."""
    now = microseconds(datetime.now(UTC))
    return Entry(name, collection, settings, now, secrets.token_hex(16), secrets.token_bytes(32), 0, 0, 1, 1)


def created_at(entry: Entry) -> datetime:
    return instant(entry.created_at)


def of_row(row: Any) -> Entry:
    values = dict(row._mapping)
    values["settings"] = GallerySettings.model_validate_json(values["settings"])
    values["secret"] = bytes(values["secret"])
    return Entry(**values)


def progress(connection: sa.Connection, entry: Entry, seen: int, latest: int, *, faithful: bool = False) -> None:
    """One more change. Nobody else writes meanwhile, but for feedback, which moves neither time.

    faithful: if the gallery is a copy of another, it stays one; any other change ends that.
    """
    if faithful:
        of_copy = COPIES.update().where(COPIES.c.collection == entry.collection)
        connection.execute(of_copy.values(change=COPIES.c.change + 1))
    done = connection.execute(
        GALLERIES.update()
        .where(GALLERIES.c.collection == entry.collection)
        .values(
            change=GALLERIES.c.change + 1,
            seen=sa.case((GALLERIES.c.seen < seen, seen), else_=GALLERIES.c.seen),
            latest=sa.case((GALLERIES.c.latest < latest, latest), else_=GALLERIES.c.latest),
        )
    )
    if not done.rowcount:
        raise no_such(entry.name, ())


def no_such(name: str, there: Sequence[str]) -> NoSuchGalleryError:
    return NoSuchGalleryError(f"there is no gallery {name!r}; there are: {', '.join(there) or 'none yet'}")
