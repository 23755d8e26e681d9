"""Candidates by reading every vector at half its width: an exact search that moves half the bytes.

A scan of some ten megabytes is as fast as memory gives them. A gallery keeps vectors that float16 holds exactly, so
nothing is lost there; for others it is known how far off the rounded ones can be, and doubtful answers are sought anew.
"""

from __future__ import annotations

from typing import Any, ClassVar

import faiss
import numpy as np
import numpy.typing as npt

from retrieval.approximate.faiss_finder import FaissFinder
from retrieval.approximate.finder import Kind, Permitted
from retrieval.array_file import Arrays
from retrieval.exact_search import ROUNDING, Vectors

BLOCK = 20_000


class HalfFinder(FaissFinder):
    kind: ClassVar[Kind] = "half"
    knows_items: ClassVar[bool] = False
    a_turn: ClassVar[int] = 256

    def __init__(self, index: Any, off: float = 0.0) -> None:
        """off: the largest distance of a vector from its rounded one."""
        super().__init__(index)
        self._off = off

    @classmethod
    def build(cls, vectors: Vectors) -> HalfFinder:
        half = faiss.ScalarQuantizer.QT_fp16
        index = faiss.IndexScalarQuantizer(vectors.shape[1], half, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors[:1])  # faiss wants to be asked; it learns nothing
        return cls(index).extended(vectors, 0)

    @classmethod
    def restored(cls, facts: dict[str, Any], arrays: Arrays) -> HalfFinder:
        finder = super().restored(facts, arrays)
        assert isinstance(finder, cls)
        finder._off = facts["off"]
        return finder

    def saved(self) -> tuple[dict[str, Any], Arrays]:
        facts, arrays = super().saved()
        return {**facts, "off": self._off}, arrays

    @property
    def slack(self) -> float:
        return 2 * (self._off + ROUNDING)

    @property
    def parameters(self) -> dict[str, int]:
        return {"bits": 16}

    @property
    def efforts(self) -> tuple[int, int]:
        return 1, 1

    @property
    def effort_means(self) -> str:
        return "passes"

    def effort_for(self, effort: int, deeper: float, share: float) -> int:
        return effort

    def extended(self, vectors: Vectors, first: int) -> HalfFinder:
        # Before they can be found: whoever asks meanwhile must not trust the smaller figure.
        for start in range(0, len(vectors), BLOCK):
            rows = vectors[start : start + BLOCK]
            off = np.linalg.norm(rows - rows.astype(np.float16), axis=1).max()
            self._off = max(self._off, float(off))
        super().extended(vectors, first)
        return self

    def wipe(self, slots: npt.NDArray[np.integer]) -> None:
        size = int(self._index.code_size)
        codes = faiss.rev_swig_ptr(self._index.codes.data(), int(self._index.ntotal) * size)
        codes.reshape(-1, size)[slots] = 0

    def _searching(self, effort: int, permitted: Permitted | None) -> Any:
        return None if permitted is None else faiss.SearchParameters(sel=permitted.selector())  # type: ignore[call-arg]

    def _bytes_an_item(self) -> int:
        return int(self._index.code_size)
