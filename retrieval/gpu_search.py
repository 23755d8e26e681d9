"""The same search where faiss sees a GPU: it finds the candidates, and they are put in order as on the processor."""

from __future__ import annotations

from typing import Literal

import faiss
import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError
from retrieval.exact_search import SPARE, Neighbours, Vectors, in_exact_order

Device = Literal["auto", "cpu", "gpu"]

LARGEST_K = 2048  # faiss' limit on a GPU


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


def search_on_gpu(queries: Vectors, gallery: Vectors, k: int, *, exclude_self: bool) -> Neighbours:
    """`search_rows` by faiss on a GPU; float32 (Q, D) and (G, D), unit length."""
    kept = min(k + SPARE + exclude_self, len(gallery))
    if kept > LARGEST_K:
        raise RetrievalError(f"k is {k}: a GPU search finds at most {LARGEST_K - SPARE - 1}; use device='cpu'")
    resources = faiss.StandardGpuResources()
    best, where = faiss.knn_gpu(resources, queries, gallery, kept, metric=faiss.METRIC_INNER_PRODUCT)
    least, far = faiss.knn_gpu(resources, -queries, gallery, 1, metric=faiss.METRIC_INNER_PRODUCT)
    excluded: npt.NDArray[np.intp] | None = np.arange(len(queries)) if exclude_self else None
    if excluded is not None:
        best[where == excluded[:, None]] = -np.inf
    indices, similarities = in_exact_order(queries, gallery, best, where, k, excluded)
    return Neighbours(indices, similarities, far[:, 0].astype(np.int32), -least[:, 0])
