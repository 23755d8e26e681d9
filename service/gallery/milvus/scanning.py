"""Walks through a collection in the order in which its items were added, by windows of their keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from service.gallery.milvus.entry import Entry
from service.gallery.milvus.expressions import everyone
from service.gallery.milvus.server import MOST_ROWS, Entity, Server

VECTOR_ROWS = 2_048  # rows in one answer where these bring their vectors
FIRST = 512


def scan(
    server: Server,
    entry: Entry,
    expression: str,
    fields: Sequence[str],
    *,
    after_key: int = 0,
    up_to_key: int | None = None,
    first: int = FIRST,
) -> Iterator[list[Entity]]:
    """Blocks of those that meet an expression, in order of key. What is written meanwhile may be in it or not.

    Where few do, the windows grow, so that a rare item is found in few questions.
    """
    most = VECTOR_ROWS if "vector" in fields else MOST_ROWS
    last = entry.next_key - 1 if up_to_key is None else up_to_key
    start, window = after_key, min(first, most)
    while start < last:
        end = min(start + window, last)
        found = server.query(
            entry.collection, everyone(f"key > {start} and key <= {end}", expression), fields, entry.seen, most
        )
        if len(found) == most and end - start > most:
            window = max(most, window // 4)
            continue
        yield sorted(found, key=lambda entity: int(entity["key"]))
        start = end
        if len(found) <= most // 4:
            window *= 4 if len(found) <= most // 16 else 2


def scan_all(server: Server, entry: Entry, expression: str, fields: Sequence[str]) -> Iterator[Entity]:
    for block in scan(server, entry, expression, fields):
        yield from block


def all_keys(server: Server, entry: Entry) -> npt.NDArray[np.int64]:
    """int64, ascending."""
    blocks = [
        np.fromiter((int(one["key"]) for one in block), np.int64, len(block))
        for block in scan(server, entry, "", ("key",))
    ]
    return np.concatenate((np.zeros(0, np.int64), *blocks))


def by_keys(server: Server, entry: Entry, keys: Sequence[int], fields: Sequence[str]) -> list[Entity]:
    """Those of the items that are there, in order of key."""
    found = server.query(entry.collection, f"key in [{', '.join(map(str, keys))}]", fields, entry.seen)
    return sorted(found, key=lambda one: int(one["key"]))
