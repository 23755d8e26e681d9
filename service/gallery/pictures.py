"""Which picture belongs to an item."""

from __future__ import annotations

from service.gallery.errors import NoSuchItemError
from service.gallery.items import Item
from service.gallery.settings import GallerySettings


def crop_hash(gallery: str, settings: GallerySettings, item: Item) -> str:
    """The SHA-256 under which its picture is kept; NoSuchItemError, which says why, where none is."""
    if item.has_crop and item.crop_sha256 is not None:
        return item.crop_sha256
    reason = "it was added without its picture" if settings.store_crops else "this gallery keeps no pictures"
    raise NoSuchItemError(f"there is no picture of item {item.id!r} in gallery {gallery!r}: {reason}")
