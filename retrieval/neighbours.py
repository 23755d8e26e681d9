"""Exact nearest neighbours among unit vectors, in bounded memory and in one deterministic order.

A matrix product finds the candidates tile by tile (BLAS reads a gallery several times faster than faiss' scan does for
one query), faiss keeps the best of each tile, and the similarity of the few that remain is computed again one pair at a
time. That second figure does not depend on where a vector stood in which block: equal vectors get equal similarities,
a query gets the same answer alone and in a batch, and ties break by index.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import faiss
import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from retrieval.errors import RetrievalError
from retrieval.vectors import unit_rows

Device = Literal["auto", "cpu", "gpu"]
Tile = npt.NDArray[np.float32]

ROWS = 1024  # queries a tile
TILE = 20 * 1024 * 1024  # similarities a tile: 80 MiB, which bounds the memory whatever the gallery's size
SPARE = 8  # candidates beyond k, so that the order at the cut can be decided by the exact similarities
MORE_SPARE = 256  # for the queries with more ties than that; those with still more are settled one by one
# A float32 matrix product of unit vectors and the pair-by-pair product differ by less than this (seen: under 1e-6).
ROUNDING = 4e-6
GPU_LARGEST_K = 2048  # faiss' limit on a GPU


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


def nearest(
    queries: npt.ArrayLike,
    gallery: npt.ArrayLike,
    k: int,
    *,
    exclude_self: bool = False,
    threads: int | None = None,
    device: Device = "auto",
) -> Neighbours:
    """The `k` rows of `gallery` most similar to each query, exactly.

    queries  float (Q, D), unit length.
    gallery  float (G, D), unit length.
    exclude_self  `queries` is `gallery`, and row i is not its own neighbour.
    threads  processor threads to use; all of them by default.
    device   "gpu" needs a faiss that sees one; "auto" uses it where there is one.
    """
    wanted, found = unit_rows(queries, "queries"), unit_rows(gallery, "gallery")
    if wanted.shape[1] != found.shape[1]:
        raise RetrievalError(
            f"queries have {wanted.shape[1]} dimensions and the gallery {found.shape[1]}: embed both with one model"
        )
    if len(found) == 0:
        raise RetrievalError("the gallery is empty: add items before searching it")
    if k < 1:
        raise RetrievalError(f"k is {k}: ask for at least 1 neighbour")
    if exclude_self and len(wanted) != len(found):
        raise RetrievalError(
            f"exclude_self needs queries and gallery to be the same rows, not {len(wanted)} and {len(found)}"
        )
    excluded = np.arange(len(wanted), dtype=np.int32) if exclude_self else None
    with limited_threads(threads):
        if use_gpu(device):
            return _nearest_on_gpu(wanted, found, k, excluded)
        return search_rows(wanted, found, k, excluded=excluded)


def search_rows(
    queries: npt.NDArray[np.float32],
    gallery: npt.NDArray[np.float32],
    k: int,
    *,
    excluded: npt.NDArray[np.int32] | None = None,
    dead: npt.NDArray[np.intp] | None = None,
    watch: Callable[[int, int, Tile], None] | None = None,
    spare: int = SPARE,
) -> Neighbours:
    """`nearest` on the processor, for callers whose arrays are checked already.

    excluded  int32 (Q,): one gallery row for each query that is not its neighbour (its own), or -1.
    dead      ascending gallery rows that no query may find, nor count as its farthest.
    watch     is shown every tile, `watch(first query, first gallery row, similarities)`, before anything is excluded.
    """
    total, size = len(queries), len(gallery)
    alive = size - (0 if dead is None else len(dead))
    reach = min(k, alive)  # `excluded` may leave one fewer; its place then ends the row as -1
    out = _blank(total, k)
    undecided: list[npt.NDArray[np.intp]] = []
    kept = min(reach + spare + (excluded is not None), size)
    rows_a_tile = max(1, min(ROWS, total))
    columns_a_tile = _even_split(size, max(1, TILE // rows_a_tile))
    buffer = np.empty(rows_a_tile * columns_a_tile, np.float32)
    for first in range(0, total, rows_a_tile):
        block = queries[first : first + rows_a_tile]
        values, places = [], []
        lowest = np.full(len(block), np.inf, np.float32)
        farthest = np.full(len(block), -1, np.int32)
        rows = np.arange(len(block))
        for start in range(0, size, columns_a_tile):
            part = gallery[start : start + columns_a_tile]
            tile = buffer[: len(block) * len(part)].reshape(len(block), len(part))
            np.matmul(block, part.T, out=tile)
            if watch is not None:
                watch(first, start, tile)
            hidden = _within(dead, start, len(part))
            tile[:, hidden] = np.inf
            least = tile.argmin(axis=1)
            least_value = tile[rows, least]
            lower = least_value < lowest
            lowest[lower], farthest[lower] = least_value[lower], (least[lower] + start).astype(np.int32)
            tile[:, hidden] = -np.inf
            if excluded is not None:
                _hide_own(tile, excluded[first : first + len(block)], start)
            value, place = faiss.kmax(tile, min(kept, len(part)))
            values.append(value)
            places.append(place + start)
        best, where = _merge(values, places, kept)
        indices, similarities, unsure = _settle(block, gallery, best, where, k)
        undecided.append(first + np.flatnonzero(unsure))
        last = first + len(block)
        out.indices[first:last], out.similarities[first:last] = indices, similarities
        out.lowest[first:last], out.farthest[first:last] = lowest, farthest
    again = np.concatenate(undecided) if undecided else np.empty(0, np.intp)
    if len(again) and spare < MORE_SPARE:
        own = None if excluded is None else excluded[again]
        wider = search_rows(queries[again], gallery, k, excluded=own, dead=dead, spare=MORE_SPARE)
        out.indices[again], out.similarities[again] = wider.indices, wider.similarities
    else:
        for row in again:
            mine = -1 if excluded is None else int(excluded[row])
            out.indices[row], out.similarities[row] = _settle_whole_row(queries[row], gallery, k, mine, dead)
    return out


def pair_similarities(
    left: npt.NDArray[np.float32],
    left_rows: npt.NDArray[np.integer],
    right: npt.NDArray[np.float32],
    right_rows: npt.NDArray[np.integer],
) -> npt.NDArray[np.float32]:
    """Inner products of `left[left_rows[n]]` and `right[right_rows[n]]`, float32 (n,).

    Each is summed in the same order wherever its vectors stand, and a.b equals b.a to the last bit.
    """
    a = np.ascontiguousarray(left_rows, dtype=np.int64)
    b = np.ascontiguousarray(right_rows, dtype=np.int64)
    out = np.empty(len(a), np.float32)
    if len(a):
        faiss.pairwise_indexed_inner_product(  # type: ignore[attr-defined]
            left.shape[1],
            len(a),
            faiss.swig_ptr(left),
            faiss.swig_ptr(a),
            faiss.swig_ptr(right),
            faiss.swig_ptr(b),
            faiss.swig_ptr(out),
        )
    return out


def limited_threads(threads: int | None) -> contextmanager[None] | nullcontext[None]:  # type: ignore[valid-type]
    """While entered, BLAS and OpenMP use at most `threads` threads; None leaves them as they are."""
    if threads is None:
        return nullcontext()
    if threads < 1:
        raise RetrievalError(f"threads is {threads}: use at least 1, or None for all of them")
    return _limit(threads)


@contextmanager
def _limit(threads: int) -> Iterator[None]:
    with _thread_pools().limit(limits=threads):
        yield


@functools.cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()  # looks through every loaded library: some milliseconds, so it is done once


def use_gpu(device: Device) -> bool:
    """Whether `device` means a GPU here; asking for one that faiss cannot use is an error, not a fall-back."""
    count = getattr(faiss, "get_num_gpus", lambda: 0)()
    if device == "gpu" and count == 0:
        raise RetrievalError(
            "device 'gpu' was asked for, but faiss sees none: install the extra 'gpu' on a machine with a CUDA device, "
            "or use device='cpu'"
        )
    if device not in ("auto", "cpu", "gpu"):
        raise RetrievalError(f"device is {device!r}: use 'auto', 'cpu' or 'gpu'")
    return device != "cpu" and count > 0


def _nearest_on_gpu(
    queries: npt.NDArray[np.float32],
    gallery: npt.NDArray[np.float32],
    k: int,
    excluded: npt.NDArray[np.int32] | None,
) -> Neighbours:
    kept = min(k + SPARE + (excluded is not None), len(gallery))
    if kept > GPU_LARGEST_K:
        raise RetrievalError(f"k is {k}: a GPU search finds at most {GPU_LARGEST_K - SPARE - 1}; use device='cpu'")
    resources = faiss.StandardGpuResources()
    inner = faiss.METRIC_INNER_PRODUCT
    best, where = faiss.knn_gpu(resources, queries, gallery, kept, metric=inner)
    least, far = faiss.knn_gpu(resources, -queries, gallery, 1, metric=inner)
    if excluded is not None:
        best[where == excluded[:, None]] = -np.inf
    indices, similarities, unsure = _settle(queries, gallery, best, where, k)
    for row in np.flatnonzero(unsure):
        own = -1 if excluded is None else int(excluded[row])
        indices[row], similarities[row] = _settle_whole_row(queries[row], gallery, k, own, None)
    return Neighbours(indices, similarities, far[:, 0].astype(np.int32), -least[:, 0])


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
    found = values > -np.inf
    rows = np.repeat(np.arange(block), kept)[found.ravel()]
    exact = np.full(places.shape, -np.inf, np.float32)
    exact[found] = pair_similarities(queries, rows, gallery, places[found])
    places = np.where(found, places, np.iinfo(np.int32).max)
    by_index = np.argsort(places, axis=1)
    places, exact = np.take_along_axis(places, by_index, 1), np.take_along_axis(exact, by_index, 1)
    by_similarity = np.argsort(-exact, axis=1, kind="stable")[:, :k]
    indices, similarities = np.take_along_axis(places, by_similarity, 1), np.take_along_axis(exact, by_similarity, 1)
    cut = similarities[:, -1]
    # What was left out is at most as similar as the worst candidate kept; that is -inf where all there was is kept.
    everything = kept == len(gallery)
    unsure = (
        np.zeros(block, bool) if everything else (values.min(axis=1) > -np.inf) & (cut - values.min(axis=1) < ROUNDING)
    )
    out = _blank(block, k)
    width = indices.shape[1]
    out.indices[:, :width] = np.where(np.isneginf(similarities), -1, indices)
    out.similarities[:, :width] = similarities
    return out.indices, out.similarities, unsure


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


def _merge(
    values: list[npt.NDArray[np.float32]], places: list[npt.NDArray[np.int64]], kept: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The best `kept` of each row over all tiles."""
    if len(values) == 1:
        return values[0], places[0]
    value, place = np.concatenate(values, axis=1), np.concatenate(places, axis=1)
    best, where = faiss.kmax(np.ascontiguousarray(value), min(kept, value.shape[1]))
    return best, np.take_along_axis(place, where, axis=1)


def _hide_own(tile: Tile, excluded: npt.NDArray[np.int32], start: int) -> None:
    inside = np.flatnonzero((excluded >= start) & (excluded < start + tile.shape[1]))
    tile[inside, excluded[inside] - start] = -np.inf


def _within(dead: npt.NDArray[np.intp] | None, start: int, width: int) -> npt.NDArray[np.intp]:
    """The dead rows of one tile, counted from its first column."""
    if dead is None:
        return np.empty(0, np.intp)
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
