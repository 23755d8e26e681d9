"""Candidates by lists (IVF): each item is in the list of the nearest of some centres; a search reads a few lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import faiss
import numpy as np

from retrieval.approximate.faiss_finder import FaissFinder
from retrieval.approximate.finder import Kind, Permitted
from retrieval.errors import RetrievalError
from retrieval.exact_search import Vectors

ROUNDS = 10
A_LIST = 64  # items that a centre is learnt from
BLOCK = 20_000


class IvfFinder(FaissFinder):
    kind: ClassVar[Kind] = "ivf"
    knows_items: ClassVar[bool] = False
    a_turn: ClassVar[int] = 64

    @classmethod
    def build(cls, vectors: Vectors, progress: Callable[[int, int], None] | None) -> IvfFinder:
        count, dimension = vectors.shape
        if count == 0:
            raise RetrievalError("an ivf index learns its lists from the items, and there are none: use another kind")
        lists = max(1, min(round(4 * np.sqrt(count)), count // 39))  # faiss warns where a centre has fewer than 39
        learner = faiss.Kmeans(dimension, lists, niter=ROUNDS, spherical=True, max_points_per_centroid=A_LIST, seed=1)
        learner.train(vectors)
        centres = faiss.IndexFlatIP(dimension)
        centres.add(np.asarray(learner.centroids))
        quantizer = faiss.ScalarQuantizer.QT_fp16
        index = faiss.IndexIVFScalarQuantizer(centres, dimension, lists, quantizer, faiss.METRIC_INNER_PRODUCT, False)
        index.train(vectors[:1])
        for start in range(0, count, BLOCK):
            index.add(vectors[start : start + BLOCK])
            if progress is not None:
                progress(min(start + BLOCK, count), count)
        return cls(index)

    @property
    def parameters(self) -> dict[str, int]:
        return {"nlist": int(self._index.nlist)}

    @property
    def efforts(self) -> tuple[int, int]:
        return 1, int(self._index.nlist)

    @property
    def effort_means(self) -> str:
        return "nprobe"

    def _searching(self, effort: int, permitted: Permitted | None) -> Any:
        selector = None if permitted is None else permitted.selector()
        return faiss.SearchParametersIVF(nprobe=min(effort, int(self._index.nlist)), sel=selector)  # type: ignore[call-arg]

    def _bytes_an_item(self) -> int:
        return int(self._index.code_size) + 8
