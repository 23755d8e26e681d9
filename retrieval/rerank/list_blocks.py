"""The neighbour lists of a block of items among all: a pure function, to be mapped over blocks anywhere."""

from __future__ import annotations

import faiss
import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError
from retrieval.exact_search import SPARE, Neighbours, in_exact_order, search_rows
from retrieval.gpu_search import LARGEST_K, Device, use_gpu

ON_GPU = 8 * 2**30  # bytes of the gallery on a GPU at a time


def lists_of(
    first: int, stop: int, vectors: npt.NDArray[np.float32], reach: int, device: Device = "auto"
) -> Neighbours:
    """The `reach` nearest other items of the items from `first` to `stop`, exactly, and the farthest item of each.

    vectors  float32 (N, D), unit length, C-contiguous: all items; may be a memory map, of which a block is read at a
             time.
    """
    block = np.ascontiguousarray(vectors[first:stop])
    own = np.arange(first, first + len(block))
    if not use_gpu(device) or len(vectors) <= reach:
        return search_rows(block, vectors, reach, excluded=own)
    kept = min(reach + SPARE + 1, len(vectors))
    if kept > LARGEST_K:
        raise RetrievalError(
            f"{reach} neighbours are too many for a GPU, which finds {LARGEST_K - SPARE - 1}: use 'cpu'"
        )
    resources = faiss.StandardGpuResources()
    like = faiss.METRIC_INNER_PRODUCT
    try:
        best, where = faiss.knn_gpu(resources, block, vectors, kept, metric=like, vectorsMemoryLimit=ON_GPU)
        least, far = faiss.knn_gpu(resources, -block, vectors, 1, metric=like, vectorsMemoryLimit=ON_GPU)
    except RuntimeError as error:  # faiss': it is full, or has failed
        said = " ".join(str(error).split())
        raise RetrievalError(f"the GPU failed ({said}): free its memory, or use device 'cpu'") from error
    # Without the item itself; where so many are like it that it was not found, without the last instead.
    others = np.argsort(where == own[:, None], axis=1, kind="stable")[:, :-1]
    best, where = np.take_along_axis(best, others, axis=1), np.take_along_axis(where, others, axis=1)
    indices, similarities = in_exact_order(block, vectors, best, where, reach, own)
    return Neighbours(indices, similarities, far[:, 0].astype(np.int32), -least[:, 0])
