"""A collection held against the file that it was filled from, item by item."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from service.gallery.embedded.crops import CropStore
from service.gallery.embedded.preparing import Written
from service.gallery.errors import CorruptError
from service.gallery.milvus.entry import Entry
from service.gallery.milvus.gallery_file import FileReader
from service.gallery.milvus.rows import DESCRIBING, entity
from service.gallery.milvus.scanning import VECTOR_ROWS, scan
from service.gallery.milvus.server import Entity, Server

COMPARED = (*DESCRIBING, "viewpoint", "marks", "vector", "seal")


def compare(
    server: Server, entry: Entry, crops: CropStore, file: FileReader, alive_at: int, told: Callable[[int], None]
) -> tuple[int, set[str]]:
    """Reads all of a collection and its pictures; gives how many items it has, and the hashes of the pictures.

    CorruptError unless both are what the file says. told: called with the number of items that were read so far.
    """
    pictures: set[str] = set()
    wrong: list[str] = []
    unreadable: list[str] = []
    count = last = 0
    for items in _and_an_end(file.items(alive_at=alive_at)):
        up_to = items[-1].stored.key if items else entry.next_key - 1
        found = scan(server, entry, "", COMPARED, after_key=last, up_to_key=up_to, first=VECTOR_ROWS)
        wrong += _still_wanted(_differing(items, [one for block in found for one in block]), items)
        new = pictures_of(items) - pictures
        lost = {sha256 for sha256 in new if not _is_readable(crops, sha256)}
        unreadable += _still_wanted([one.stored.id for one in items if one.stored.crop in lost], items)
        pictures |= new
        count, last = count + len(items), up_to
        told(count)
    surplus = max(server.count(entry.collection, "", entry.seen) - count, 0)
    if wrong or unreadable or surplus:
        named = ", ".join(map(repr, (*wrong, *unreadable)[:3]))
        raise CorruptError(
            f"the copy {entry.name!r} on Milvus is not what it was made of: {len(wrong)} items and the pictures of "
            f"{len(unreadable)} are wrong{named and f' ({named})'}, and it has {surplus} items too many"
        )
    return count, pictures


def pictures_of(items: Iterable[Written]) -> set[str]:
    """The hashes of those that are kept."""
    return {one.stored.crop for one in items if one.stored.has_crop and one.stored.crop is not None}


def _and_an_end(blocks: Iterator[list[Written]]) -> Iterator[list[Written]]:
    """The blocks, and an empty one for what may come behind them."""
    yield from blocks
    yield []


def _differing(items: Sequence[Written], found: Sequence[Entity]) -> list[str]:
    """The ids of items that are not there, or are otherwise; and of those that should not be there."""
    wanted = {one.stored.key: one for one in items}
    wrong = []
    for one in found:
        item = wanted.pop(int(one["key"]), None)
        if item is None or not _same(entity(item), one):
            wrong.append(one["id"])
    return [*wrong, *(one.stored.id for one in wanted.values())]


def _same(wanted: Mapping[str, object], found: Entity) -> bool:
    ours, theirs = (np.asarray(one["vector"], np.float32).tobytes() for one in (wanted, found))
    return (
        ours == theirs
        and list(found["marks"]) == wanted["marks"]
        and all(found[field] == wanted[field] for field in COMPARED if field not in ("vector", "marks"))
    )


def _still_wanted(ids: Sequence[str], items: Iterable[Written]) -> list[str]:
    """Without items that have expired meanwhile, which anybody may have purged."""
    now = time.time_ns() // 1_000
    ends = {one.stored.id: one.stored.expires_at for one in items}
    return [id for id in ids if (end := ends.get(id)) is None or end > now]


def _is_readable(crops: CropStore, sha256: str) -> bool:
    try:
        crops.get(sha256)
    except CorruptError:
        return False
    return True
