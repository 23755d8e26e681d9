"""An item on its way into the database."""

from __future__ import annotations

from dataclasses import dataclass

from service.gallery.embedded.rows import LAST_INSTANT, Stored, microseconds, number, stored_vector
from service.gallery.items import NewItem, metadata_text
from service.gallery.settings import GallerySettings


@dataclass(frozen=True, slots=True)
class Written:
    """An item that came (with its vector as it is stored) or went (without)."""

    stored: Stored
    vector: bytes | None


def prepared(item: NewItem, settings: GallerySettings, time: int, since: int, crop: str | None, kept: bool) -> Written:
    """The item as it would stand in the tables, still without a key.

    time   when it is added. since: from when on its term counts. crop: its hash. kept: whether the picture is there.
    """
    front, side, back = item.viewpoint or (None, None, None)
    stored = Stored(
        key=0,
        id=item.id,
        camera=item.camera,
        captured_at=None if item.captured_at is None else microseconds(item.captured_at),
        person=item.person,
        tracklet=item.tracklet,
        front=number(front),
        side=number(side),
        back=number(back),
        quality=number(item.quality),
        added_at=time,
        expires_at=expiry(item, settings, since),
        crop=crop,
        has_crop=int(kept),
        metadata=metadata_text(item.metadata),
    )
    return Written(stored, stored_vector(item.vector).tobytes())


def expiry(item: NewItem, settings: GallerySettings, added_at: int) -> int | None:
    """When it expires: as it says, or its gallery's term after it was captured, or else added."""
    if item.expires_at is not None:
        return microseconds(item.expires_at)
    if settings.ttl_seconds is None:
        return None
    since = added_at if item.captured_at is None else microseconds(item.captured_at)
    return min(since + settings.ttl_seconds * 1_000_000, LAST_INSTANT)


def equal(there: Written, new: Written) -> bool:
    """Whether adding would change nothing; when it was added is not compared."""
    stored = there.stored._replace(key=new.stored.key, added_at=new.stored.added_at)
    return there.vector == new.vector and stored == new.stored
