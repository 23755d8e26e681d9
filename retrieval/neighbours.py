"""Exact nearest neighbours among unit vectors: the public door, on a processor or a GPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError
from retrieval.exact_search import Neighbours, search_rows
from retrieval.gpu_search import Device, search_on_gpu, use_gpu
from retrieval.threads import limited_threads
from retrieval.vectors import unit_rows

__all__ = ["Device", "Neighbours", "nearest"]


def nearest(
    queries: npt.ArrayLike,
    gallery: npt.ArrayLike,
    k: int,
    *,
    exclude_self: bool = False,
    threads: int | None = None,
    device: Device = "auto",
    progress: Callable[[int], None] | None = None,
) -> Neighbours:
    """The `k` rows of `gallery` most similar to each query, exactly.

    queries  float (Q, D), unit length.
    gallery  float (G, D), unit length.
    exclude_self  `queries` is `gallery`, and row i is not its own neighbour.
    threads  processor threads to use; all of them by default.
    device   "gpu" needs a faiss that sees one; "auto" uses it where there is one.
    progress  called now and then with how many queries are done, on a GPU once; what it raises ends the search.
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
    with limited_threads(threads):
        if use_gpu(device):
            near = search_on_gpu(wanted, found, k, exclude_self=exclude_self)
            if progress is not None:
                progress(len(wanted))
            return near
        excluded = np.arange(len(wanted)) if exclude_self else None
        return search_rows(wanted, found, k, excluded=excluded, threads=threads, progress=progress)
