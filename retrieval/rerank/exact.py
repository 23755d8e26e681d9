"""k-reciprocal re-ranking of whole sets: exactly the authors' result, in memory linear in the sets' size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import sparse

from retrieval.errors import RetrievalError
from retrieval.gpu_search import Device
from retrieval.neighbours import nearest
from retrieval.rerank.encoding import NeighbourLists, average, encode, largest_distance, reciprocal
from retrieval.rerank.inverted import InvertedLists, jaccard_distance, sum_by_item
from retrieval.rerank.settings import RerankSettings
from retrieval.threads import limited_threads, spread
from retrieval.vectors import unit_rows

QUERIES = 128  # queries whose distances are computed at a time


def k_reciprocal(
    query: npt.ArrayLike,
    gallery: npt.ArrayLike,
    k1: int = 20,
    k2: int = 6,
    lam: float = 0.3,
    *,
    threads: int | None = None,
    device: Device = "auto",
) -> npt.NDArray[np.float32]:
    """The re-ranked distances of every query to every gallery item: float32 (Q, G).

    query    float (Q, D), unit length; all queries are pooled with the gallery, as the authors' code does, so a query's
             answer depends on the other queries. One probe at a time is `ReciprocalGraph`, or a call for each query.
    gallery  float (G, D), unit length.

    d*(q,g) = (1 - lam) * (1 - S/(2-S)) + lam * d(q,g) / max_j d(q,j), with S = sum_j min(V'[q,j], V'[g,j]).
    """
    wanted = unit_rows(query, "query")
    out = np.empty((len(wanted), len(np.atleast_1d(gallery))), np.float32)
    for start, block in k_reciprocal_blocks(query, gallery, k1, k2, lam, threads=threads, device=device):
        out[start : start + len(block)] = block
    return out


def k_reciprocal_blocks(
    query: npt.ArrayLike,
    gallery: npt.ArrayLike,
    k1: int = 20,
    k2: int = 6,
    lam: float = 0.3,
    *,
    threads: int | None = None,
    device: Device = "auto",
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """`k_reciprocal`, a few queries at a time, for results too large to hold: yields (first query, float32 (b, G))."""
    settings = RerankSettings(k1, k2, lam)
    wanted, found = unit_rows(query, "query"), unit_rows(gallery, "gallery")
    if len(wanted) == 0 or len(found) == 0:
        empty = "query" if len(wanted) == 0 else "gallery"
        raise RetrievalError(f"the {empty} is empty: re-ranking needs at least one vector on each side")
    if wanted.shape[1] != found.shape[1]:
        raise RetrievalError(
            f"the query has {wanted.shape[1]} dimensions and the gallery {found.shape[1]}: embed both with one model"
        )
    with limited_threads(threads):
        everything = np.concatenate((wanted, found))
        near = nearest(everything, everything, settings.reach, exclude_self=True, threads=threads, device=device)
        lists = NeighbourLists(everything, near.indices, near.lowest)
        rows = np.arange(len(everything), dtype=np.int32)
        single = encode(lists, rows, reciprocal(lists, rows, settings.half), settings)
        encodings = average(lambda of: single[of], lists, rows, settings)
        by_column = InvertedLists.of(encodings[len(wanted) :])

        def distances(start: int) -> npt.NDArray[np.float32]:
            part = wanted[start : start + QUERIES]
            own = slice(start, start + len(part))
            return _distances(part, found, encodings[own], by_column, near.lowest[own], settings)

        starts = range(0, len(wanted), QUERIES)
        yield from zip(starts, spread(distances, starts, threads), strict=True)


def _distances(
    wanted: npt.NDArray[np.float32],
    found: npt.NDArray[np.float32],
    encodings: sparse.csr_array,
    by_column: InvertedLists,
    lowest: npt.NDArray[np.float32],
    settings: RerankSettings,
) -> npt.NDArray[np.float32]:
    lam = np.float32(settings.lam)
    out = wanted @ found.T
    # lam * d~ + (1 - lam), in the places of the similarities; then the little that shares something is brought nearer.
    largest = largest_distance(lowest)[:, None]
    scale = np.where(largest > 0, lam / np.where(largest > 0, largest, 1), 0)
    out *= -2 * scale
    out += 2 * scale
    np.clip(out, 0, lam, out=out)
    out += 1 - lam
    item, shared, place = by_column.meet(encodings.indices, encodings.data)
    row = np.repeat(np.arange(len(wanted)), np.diff(encodings.indptr))[place]
    where, total = sum_by_item(row * len(found) + item, shared)
    out.ravel()[where] -= (1 - lam) * (1 - jaccard_distance(total))
    return out
