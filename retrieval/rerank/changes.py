"""From one version of a graph's items to the next. What others see is never written; a failure leaves it as it was."""

from __future__ import annotations

from copy import copy

import numpy as np
import numpy.typing as npt
from scipy import sparse

from retrieval.exact_search import Vectors, search_rows
from retrieval.keys import Keys
from retrieval.rerank.arrivals import Arrivals
from retrieval.rerank.encoding import encode, reciprocal
from retrieval.rerank.inverted import InvertedLists
from retrieval.rerank.items import Items
from retrieval.rerank.segments import Segments
from retrieval.rerank.sparse_rows import SparseRows


def added(now: Items, keys: Keys, vectors: Vectors) -> Items:
    """With new items, their lists and encodings, and with marks on what else they touch."""
    first, settings = len(now), now.settings
    items = now.extended(keys, vectors)
    slots = np.arange(first, len(items), dtype=np.int32)
    arrivals = Arrivals(items, first)
    near = search_rows(vectors, items.vectors, settings.reach, excluded=slots, dead=items.dead, watch=arrivals.watch)
    items.set_lists(slots, near)
    arrivals.settle()
    items.changed[slots] = True
    items.mutual_half[slots] = reciprocal(items.lists, slots, settings.half)
    items.encodings = now.encodings.replaced(slots, encode(items.lists, slots, items.mutual_half, settings))
    items.segments = now.segments.touched(slots, items.averaged)
    return items


def refreshed(now: Items, limit: int | None) -> Items:
    """With up to `limit` stale rows made anew, or all of them."""
    if not now.stale:
        return now
    items, settings = now.copied(), now.settings
    budget = 2 * len(items) if limit is None else limit  # a row may need a new list and a new encoding
    torn = np.flatnonzero(items.holed & items.alive)[:budget].astype(np.int32)
    if len(torn):
        near = search_rows(items.vectors[torn], items.vectors, settings.reach, excluded=torn, dead=items.dead)
        items.set_lists(torn, near)
        items.holed[torn] = False
        items.changed[torn] = True
    if items.changed.any() and not (items.holed & items.alive).any():
        _mark_outdated(items)
    rows = np.flatnonzero(items.outdated & items.alive)[: budget - len(torn)].astype(np.int32)
    if len(rows):
        items.encodings = now.encodings.replaced(rows, encode(items.lists, rows, items.mutual_half, settings))
        items.outdated[rows] = False
        renewed = np.zeros(len(items), np.bool_)
        renewed[rows] = True
        touched = renewed | _lists_any(items, renewed, settings.k2 - 1)
        items.segments = now.segments.touched(np.flatnonzero(touched & items.alive), items.averaged)
    return items


def compacted(now: Items) -> Items:
    """With everything refreshed, the slots of removed items closed, and one segment."""
    old = refreshed(now, None)
    items = copy(old)
    alive = np.flatnonzero(old.alive).astype(np.int32)
    if old.dead is not None:
        moved = np.full(len(old) + 1, -1, np.int32)  # one more, so that -1 (no neighbour) stays -1
        moved[alive] = np.arange(len(alive), dtype=np.int32)
        items = Items(old.keys[alive], old.vectors[alive], old.settings, lent=False)
        items.indices, items.farthest = moved[old.indices[alive]], moved[old.farthest[alive]]
        for name in ("similarities", "lowest", "mutual_half"):
            setattr(items, name, getattr(old, name)[alive])
        kept = old.encodings.take(alive, len(old))
        kept = sparse.csr_array((kept.data, moved[kept.indices], kept.indptr), shape=(len(alive), len(alive)))
        items.encodings = SparseRows.of(kept)
    items.segments = Segments.of(InvertedLists.of(items.averaged(np.arange(len(items), dtype=np.int32))))
    return items


def _mark_outdated(items: Items) -> None:
    """From changed lists to the encodings that were made from them.

    V[i] is made from i's list, its neighbours' lists (are they reciprocal?) and the reciprocal sets of its
    neighbours, which look one step further: so everything within two steps of a changed list.
    """
    near = items.changed | _lists_any(items, items.changed, items.settings.reach)
    rows = np.flatnonzero(near & items.alive).astype(np.int32)
    items.mutual_half[rows] = reciprocal(items.lists, rows, items.settings.half)
    items.outdated |= near | _lists_any(items, near, items.settings.reach)
    items.changed[:] = False


def _lists_any(items: Items, flags: npt.NDArray[np.bool_], k: int) -> npt.NDArray[np.bool_]:
    """Whose k nearest hold a flagged item: bool (n,)."""
    lists = items.indices[:, :k]
    return np.asarray((flags[lists] & (lists >= 0)).any(axis=1))
