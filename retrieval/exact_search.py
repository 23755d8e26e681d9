"""The k most similar rows by brute force, in bounded memory and in one deterministic order.

A matrix product finds the candidates tile by tile (BLAS reads a gallery faster than faiss' scan does for one query),
faiss keeps the best of each tile, and the similarity of the few that remain is computed again one pair at a time. That
second figure does not depend on where a vector stood in which block: equal vectors get equal similarities, a query gets
the same answer alone and in a batch, and ties break by index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import faiss
import numpy as np
import numpy.typing as npt

from retrieval.similarity import pair_similarities
from retrieval.threads import spread, threads_worth

Vectors = npt.NDArray[np.float32]
Tile = npt.NDArray[np.float32]

ROWS = 1024  # queries a tile
TILE = 10 * 1024 * 1024  # similarities a tile: 40 MiB for each thread, whatever the gallery's size
SPARE = 8  # candidates beyond k, so that the order at the cut can be decided by the exact similarities
MORE_SPARE = 256  # for the queries with more ties than that; those with still more are settled one by one
# A float32 matrix product of unit vectors and the pair-by-pair product differ by less than this (seen: under 1e-6).
ROUNDING = 4e-6


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The k nearest gallery rows of each query, nearest first; equal similarities in ascending order of index.

    indices       int32 (Q, k): gallery rows; -1 where fewer than k rows may be found.
    similarities  float32 (Q, k): cosine; -inf beside -1.
    farthest      int32 (Q,): the gallery row least similar to the query.
    lowest        float32 (Q,): its similarity, within 1e-6.
    """

    indices: npt.NDArray[np.int32]
    similarities: npt.NDArray[np.float32]
    farthest: npt.NDArray[np.int32]
    lowest: npt.NDArray[np.float32]


def search_rows(
    queries: Vectors,
    gallery: Vectors,
    k: int,
    *,
    excluded: npt.NDArray[np.integer] | None = None,
    dead: npt.NDArray[np.intp] | None = None,
    watch: Callable[[int, int, Tile], None] | None = None,
    progress: Callable[[int], None] | None = None,
    spare: int = SPARE,
    threads: int | None = None,
) -> Neighbours:
    """The `k` rows of `gallery` most similar to each query. The caller has checked that all are of unit length.

    queries   float32 (Q, D), gallery  float32 (G, D).
    excluded  int (Q,): one gallery row for each query that is not its neighbour (its own).
    dead      ascending gallery rows that no query may find, nor count as its farthest.
    watch     is shown every tile, `watch(first query, first gallery row, similarities)`, before anything is hidden;
              then all is done on the calling thread.
    progress  called now and then, on the calling thread, with how many queries are done; what it raises ends all.
    threads   how many may work on the queries at once, where there are more than one tile's.
    """
    size = len(gallery)
    kept = min(min(k, size) + spare + (excluded is not None), size)
    rows_a_tile = max(1, min(ROWS, len(queries)))
    width = _even_split(size, max(1, TILE // rows_a_tile))
    out = _blank(len(queries), k)

    def search_block(first: int) -> npt.NDArray[np.intp]:
        block = queries[first : first + rows_a_tile]
        rows = slice(first, first + len(block))
        best = _Best(len(block), kept)
        for start in range(0, size, width):
            tile = block @ gallery[start : start + width].T
            if watch is not None:
                watch(first, start, tile)
            own = None if excluded is None else _own_places(excluded[rows], start, tile.shape[1])
            best.take(start, tile, own, _within(dead, start, tile.shape[1]))
        return first + best.settle_into(out, rows, block, gallery)

    starts = range(0, len(queries), rows_a_tile)
    undecided = []
    for first, unsure in zip(starts, spread(search_block, starts, threads if watch is None else 1), strict=True):
        undecided.append(unsure)
        if progress is not None:
            progress(min(first + rows_a_tile, len(queries)))
    again = np.concatenate((np.empty(0, np.intp), *undecided))
    _settle_ties(out, again, queries, gallery, k, excluded, dead, spare)
    return out


class _Best:
    """Of each row, the most similar found so far, and the least similar one."""

    def __init__(self, rows: int, kept: int) -> None:
        self._values = np.full((rows, kept), -np.inf, np.float32)
        self._places = np.full((rows, kept), -1, np.int64)
        self._lowest = np.full(rows, np.inf, np.float32)
        self._farthest = np.full(rows, -1, np.int32)

    def take(
        self,
        offset: int,
        tile: Tile,
        own: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]] | None,
        dead: npt.NDArray[np.intp] | None,
    ) -> None:
        """Looks through the similarities to the items from `offset` on; overwrites those of `own` and `dead`."""
        if dead is not None:
            tile[:, dead] = np.inf
        least = tile.argmin(axis=1)
        value = tile[np.arange(len(tile)), least]
        lower = value < self._lowest
        self._lowest[lower], self._farthest[lower] = value[lower], (least[lower] + offset).astype(np.int32)
        if dead is not None:
            tile[:, dead] = -np.inf
        if own is not None:
            tile[own] = -np.inf
        kept = self._values.shape[1]
        with threads_worth(tile.size):
            values, places = _largest(tile, min(kept, tile.shape[1]))
            if offset == 0 and values.shape[1] == kept:
                self._values, self._places = values, places
            else:
                every = np.concatenate((self._places, np.where(places < 0, -1, places + offset)), axis=1)
                self._values, chosen = _largest(np.concatenate((self._values, values), axis=1), kept)
                self._places = np.where(chosen < 0, -1, np.take_along_axis(every, chosen, axis=1))

    def settle_into(self, out: Neighbours, to: slice, queries: Vectors, gallery: Vectors) -> npt.NDArray[np.intp]:
        """Writes the neighbours to `out[to]`; returns which of the rows have more ties than could be decided."""
        k = out.indices.shape[1]
        out.indices[to], out.similarities[to], unsure = _settle(queries, gallery, self._values, self._places, k)
        out.lowest[to], out.farthest[to] = self._lowest, self._farthest
        return np.flatnonzero(unsure)


def _largest(rows: Tile, k: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The k largest values of each row and their places; -inf and -1 where fewer than k are above -inf."""
    values, places = faiss.kmax(rows, k)
    values[places < 0] = -np.inf  # faiss leaves the lowest finite number there
    return values, places


def in_exact_order(
    queries: Vectors,
    gallery: Vectors,
    values: npt.NDArray[np.float32],
    places: npt.NDArray[np.int64],
    k: int,
    excluded: npt.NDArray[np.integer] | None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The k best of candidates (Q, m) that another search found, in this module's order."""
    out = _blank(len(queries), k)
    indices, similarities, unsure = _settle(queries, gallery, values, places, k)
    out.indices[:], out.similarities[:] = indices, similarities
    _settle_ties(out, np.flatnonzero(unsure), queries, gallery, k, excluded, None, SPARE)
    return out.indices, out.similarities


def _settle_ties(
    out: Neighbours,
    again: npt.NDArray[np.intp],
    queries: Vectors,
    gallery: Vectors,
    k: int,
    excluded: npt.NDArray[np.integer] | None,
    dead: npt.NDArray[np.intp] | None,
    spare: int,
) -> None:
    """Searches the rows `again`, which had too many ties at the cut, with more kept; the last resort is row by row."""
    if len(again) and spare < MORE_SPARE:
        own = None if excluded is None else excluded[again]
        wider = search_rows(queries[again], gallery, k, excluded=own, dead=dead, spare=MORE_SPARE)
        out.indices[again], out.similarities[again] = wider.indices, wider.similarities
    else:
        for row in again:
            mine = -1 if excluded is None else int(excluded[row])
            out.indices[row], out.similarities[row] = _settle_whole_row(queries[row], gallery, k, mine, dead)


def _settle(
    queries: npt.NDArray[np.float32],
    gallery: npt.NDArray[np.float32],
    values: npt.NDArray[np.float32],
    places: npt.NDArray[np.int64],
    k: int,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Orders the candidates by exact similarity, then index, and says in which rows something left out may belong.

    values, places  (B, m): the matrix product's best m of each row, -inf where there is none.
    """
    block, kept = places.shape
    rows = np.arange(block)[:, None]
    # A place may be -1 where there is none; it reads the last item's similarity, which is then crossed out.
    pairs = (np.repeat(rows, kept), places.ravel() % len(gallery))
    exact = pair_similarities(queries, pairs[0], gallery, pairs[1]).reshape(block, kept)
    exact[values == -np.inf] = -np.inf
    worst = values.min(axis=1)
    order = np.lexsort((places, -exact), axis=1)[:, :k]
    indices, similarities = places[rows, order].astype(np.int32), exact[rows, order]
    # What was left out is at most as similar as the worst candidate kept; that is -inf where all there was is kept.
    unsure = (worst > -np.inf) & (similarities[:, -1] < worst + ROUNDING) & (kept < len(gallery))
    indices[similarities == -np.inf] = -1
    if kept >= k:
        return indices, similarities, unsure
    missing = ((0, 0), (0, k - kept))
    return np.pad(indices, missing, constant_values=-1), np.pad(similarities, missing, constant_values=-np.inf), unsure


def _settle_whole_row(
    query: npt.NDArray[np.float32],
    gallery: npt.NDArray[np.float32],
    k: int,
    own: int,
    dead: npt.NDArray[np.intp] | None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """One query against everything that may belong to its k nearest: for rows with more ties than were kept spare."""
    rough = gallery @ query
    if dead is not None:
        rough[dead] = -np.inf
    if own >= 0:
        rough[own] = -np.inf
    cut = np.partition(rough, len(rough) - k)[len(rough) - k]
    places = np.flatnonzero((rough >= cut - ROUNDING) & (rough > -np.inf))
    exact = pair_similarities(query[None], np.zeros(len(places), np.int64), gallery, places)
    order = np.lexsort((places, -exact))[:k]
    return places[order].astype(np.int32), exact[order]


def _own_places(
    excluded: npt.NDArray[np.integer], start: int, width: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where a tile of `width` columns from `start` holds the rows' excluded items."""
    inside = np.flatnonzero((excluded >= start) & (excluded < start + width))
    return inside, (excluded[inside] - start).astype(np.intp)


def _within(dead: npt.NDArray[np.intp] | None, start: int, width: int) -> npt.NDArray[np.intp] | None:
    """The dead rows of one tile, counted from its first column."""
    if dead is None:
        return None
    low, high = np.searchsorted(dead, (start, start + width))
    return dead[low:high] - start


def _even_split(size: int, largest: int) -> int:
    """The width of the fewest tiles, all about alike, that cover `size` and are at most `largest` wide."""
    return -(-size // -(-size // largest))


def _blank(rows: int, k: int) -> Neighbours:
    return Neighbours(
        np.full((rows, k), -1, np.int32),
        np.full((rows, k), -np.inf, np.float32),
        np.full(rows, -1, np.int32),
        np.full(rows, np.nan, np.float32),
    )
