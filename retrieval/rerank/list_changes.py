"""Neighbour lists after items have come and gone, and which rows are to be made anew because of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrieval.exact_search import Neighbours, search_rows
from retrieval.rerank.arrivals import Arrivals
from retrieval.rerank.items import Items
from retrieval.rerank.row_blocks import Lists
from retrieval.rerank.settings import RerankSettings

Flags = npt.NDArray[np.bool_]
SCANNED = 1 << 20  # lists looked through at a time


def changed_lists(
    old: Lists, kept: npt.NDArray[np.integer], vectors: npt.NDArray[np.float32], settings: RerankSettings
) -> tuple[Neighbours, Flags, Flags]:
    """The lists of a gallery some of whose items are gone and behind whose last one new ones have come.

    old      the lists as they were; its vectors are not read.
    kept     int (m,): the places in `old` of the items that are still there, ascending.
    vectors  float32 (N, D), unit length: theirs, in that order, and then those of the N - m new items.

    Returns the lists of all N; whose list is another, bool (N,); and for whom the farthest item is, bool (N,). They
    equal lists made from nothing. New items search the whole gallery, and so do those that have lost a neighbour or
    their farthest item: its work grows with their number times N.
    """
    first, moved = len(kept), np.full(len(old) + 1, -1, np.int32)  # one more, so that -1 (nobody) stays -1
    moved[kept] = np.arange(first, dtype=np.int32)
    items = Items(np.arange(len(vectors)), vectors, settings, lent=False)
    indices, farthest = moved[old.indices[kept]], moved[old.farthest[kept]]
    lost = ((indices < 0) & (old.indices[kept] >= 0)).any(axis=1)
    torn = np.flatnonzero(lost | (farthest < 0))
    before = np.arange(first, dtype=np.int32)
    items.set_lists(before, Neighbours(indices, old.similarities[kept], farthest, old.lowest[kept]))
    new = np.arange(first, len(vectors), dtype=np.int32)
    if len(new):
        arrivals = Arrivals(items, first)
        near = search_rows(vectors[new], vectors, settings.reach, excluded=new, watch=arrivals.watch)
        items.set_lists(new, near)
        arrivals.settle()
    if len(torn):
        near = search_rows(vectors[torn], vectors, settings.reach, excluded=torn)
        items.set_lists(torn.astype(np.int32), near)
    items.changed[:first] |= lost
    items.changed[new] = items.outdated[new] = True
    items.outdated[torn] = True
    lists = Neighbours(items.indices, items.similarities, items.farthest, items.lowest)
    return lists, items.changed, items.outdated


def touched_rows(indices: npt.NDArray[np.int32], changed: Flags, farther: Flags, settings: RerankSettings) -> Flags:
    """Whose rows may be others because of changed lists, or of another farthest item: bool (N,).

    Whether i and j are reciprocal is told by their lists; V[i] is made from who is reciprocal with i and with i's
    neighbours, and from how far the farthest is; V'[i] from the V of i's nearest. So it is everybody within three steps
    of a changed list: within reach, k1 and k2-1 neighbours. Nobody else's row can have changed.
    """
    near = changed | _lists_any(indices, changed, settings.reach)
    encodings = farther | near | _lists_any(indices, near, settings.k1)
    return encodings | _lists_any(indices, encodings, settings.k2 - 1)


def _lists_any(indices: npt.NDArray[np.int32], flags: Flags, k: int) -> Flags:
    """Whose k nearest hold a flagged item: bool (N,)."""
    out = np.zeros(len(indices), np.bool_)
    for start in range(0, len(indices), SCANNED):
        lists = np.asarray(indices[start : start + SCANNED, :k])
        # A -1 reads the last item's flag; only galleries smaller than the reach have any, and all of them is little.
        out[start : start + SCANNED] = flags[lists].any(axis=1)
    return out
