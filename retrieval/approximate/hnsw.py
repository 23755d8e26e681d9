"""Candidates by a navigable graph (HNSW): each item knows some near ones, and a search walks from one to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import faiss

from retrieval.approximate.faiss_finder import FaissFinder
from retrieval.approximate.finder import Kind, Permitted
from retrieval.exact_search import Vectors

MOST = 8192
WORTH = 512  # a greater effort than this is better spent on a graph of more links
# Links an item (twice as many on the lowest level), and how widely a new item's neighbours are searched for.
BUILDS = ((16, 100), (32, 200))
BLOCK = 5000  # items between two reports of progress


class HnswFinder(FaissFinder):
    kind: ClassVar[Kind] = "hnsw"
    knows_items: ClassVar[bool] = True
    a_turn: ClassVar[int] = 8

    @classmethod
    def build(cls, vectors: Vectors, links: int, width: int, progress: Callable[[int, int], None] | None) -> HnswFinder:
        quantizer = faiss.ScalarQuantizer.QT_fp16
        index = faiss.IndexHNSWSQ(vectors.shape[1], quantizer, links, faiss.METRIC_INNER_PRODUCT)  # type: ignore[arg-type]
        index.hnsw.efConstruction = width
        for start in range(0, len(vectors), BLOCK):
            index.add(vectors[start : start + BLOCK])
            if progress is not None:
                progress(min(start + BLOCK, len(vectors)), len(vectors))
        return cls(index)

    @property
    def parameters(self) -> dict[str, int]:
        hnsw = self._index.hnsw
        return {"M": int(hnsw.nb_neighbors(1)), "efConstruction": int(hnsw.efConstruction)}

    @property
    def efforts(self) -> tuple[int, int]:
        return 16, WORTH if self.parameters["M"] < BUILDS[-1][0] else MOST

    @property
    def effort_means(self) -> str:
        return "efSearch"

    def _searching(self, effort: int, permitted: Permitted | None) -> Any:
        selector = None if permitted is None else permitted.selector()
        return faiss.SearchParametersHNSW(efSearch=effort, sel=selector)  # type: ignore[attr-defined]

    def _bytes_an_item(self) -> int:
        return int(self._index.storage.sa_code_size()) + 4 * int(self._index.hnsw.nb_neighbors(0)) + 16
