"""What new items change in the lists of the old ones, noted while the new search the gallery."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrieval.exact_search import ROUNDING, Tile
from retrieval.rerank.items import Items
from retrieval.similarity import pair_similarities


class Arrivals:
    """While new items search the gallery, notes for whom of the old they are nearer, or farther, than all before."""

    def __init__(self, items: Items, first: int) -> None:
        self._items, self._first = items, first
        self._radius = items.similarities[:first, -1]
        self._found: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]] = []
        self._lowest = items.lowest[:first].copy()
        self._farthest = items.farthest[:first].copy()

    def watch(self, row: int, column: int, tile: Tile) -> None:
        old = slice(column, min(column + tile.shape[1], self._first))
        part = tile[:, : max(old.stop - old.start, 0)]
        if part.shape[1] == 0:
            return
        new, where = np.nonzero((part > self._radius[old] - ROUNDING) & self._items.alive[old])
        self._found.append((self._first + row + new, where + column))
        least = part.argmin(axis=0)
        value = part[least, np.arange(part.shape[1])]
        lower = value < self._lowest[old]
        self._lowest[old][lower] = value[lower]
        self._farthest[old][lower] = (self._first + row + least[lower]).astype(np.int32)

    def settle(self) -> None:
        """Puts the new items into the lists of the old."""
        items, first = self._items, self._first
        if not self._found:
            return
        farther = self._lowest < items.lowest[:first]
        items.lowest[:first], items.farthest[:first] = self._lowest, self._farthest
        items.outdated[:first] |= farther
        new, old = (np.concatenate(side) for side in zip(*self._found, strict=True))
        similarity = pair_similarities(items.vectors, new, items.vectors, old)
        nearer = similarity > items.similarities[old, -1]  # an equal one has the larger slot, so it stays behind
        new, old, similarity = new[nearer], old[nearer], similarity[nearer]
        order = np.lexsort((new, old))
        new, old, similarity = new[order], old[order], similarity[order]
        rows, start, counts = np.unique(old, return_index=True, return_counts=True)
        if len(rows) == 0:
            return
        reach = items.indices.shape[1]
        place = np.arange(len(old)) - np.repeat(start, counts)
        shape = (len(rows), reach + int(counts.max()))
        who, how = np.full(shape, -1, np.int32), np.full(shape, -np.inf, np.float32)
        who[:, :reach], how[:, :reach] = items.indices[rows], items.similarities[rows]
        at = np.repeat(np.arange(len(rows)), counts)
        who[at, reach + place], how[at, reach + place] = new, similarity
        best = np.argsort(-how, axis=1, kind="stable")[:, :reach]
        items.indices[rows], items.similarities[rows] = (
            np.take_along_axis(who, best, 1),
            np.take_along_axis(how, best, 1),
        )
        items.reorder_mutual(rows, best)
        items.changed[rows] = True
