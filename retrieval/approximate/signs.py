"""Candidates by the signs of random projections: every item is looked at, 64 bytes of it.

A vector's signs under a rotation differ from another's in angle / pi of all places. So the few hundred items whose
signs differ least from the probe's hold its nearest neighbours, and a processor compares 512 signs at once.
"""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar

import faiss
import numpy as np
import numpy.typing as npt

from retrieval.approximate.finder import Candidates, Kind, Permitted
from retrieval.array_file import Arrays
from retrieval.exact_search import Vectors
from retrieval.threads import threads_worth

WIDTHS = (512, 768, 1024)
MOST = 16384  # faiss sets aside some kilobytes for each candidate
BLOCK = 8192
SEED = 20


class SignsFinder:
    """A value, like the rows beside it: additions make another one, which shares what both have in common."""

    kind: ClassVar[Kind] = "signs"
    knows_items: ClassVar[bool] = False
    few: ClassVar[float] = 1 / 64

    def __init__(self, centre: Vectors, rotation: Vectors, signs: npt.NDArray[np.uint8]) -> None:
        """centre float32 (D,), rotation float32 (D, bits), signs uint8 (n, bits / 8)."""
        self._centre, self._rotation = centre, rotation
        self._signs = self._store = signs

    @classmethod
    def build(cls, vectors: Vectors, bits: int) -> SignsFinder:
        dimension = vectors.shape[1]
        centre = vectors[:: max(len(vectors) // BLOCK, 1)].mean(axis=0) if len(vectors) else np.zeros(dimension)
        rng = np.random.default_rng(SEED)
        turns = [np.linalg.qr(rng.standard_normal((dimension, dimension)))[0] for _ in range(-(-bits // dimension))]
        rotation = np.ascontiguousarray(np.concatenate(turns, axis=1)[:, :bits], np.float32)
        empty = cls(centre.astype(np.float32), rotation, np.empty((0, bits // 8), np.uint8))
        return empty.extended(vectors, 0)

    @classmethod
    def restored(cls, facts: dict[str, Any], arrays: Arrays) -> SignsFinder:
        return cls(arrays["centre"], arrays["rotation"], arrays["signs"])

    def saved(self) -> tuple[dict[str, Any], Arrays]:
        return {}, {"centre": self._centre, "rotation": self._rotation, "signs": self._signs}

    @property
    def parameters(self) -> dict[str, int]:
        return {"bits": self._rotation.shape[1]}

    @property
    def efforts(self) -> tuple[int, int]:
        most = min(MOST, max(len(self._signs), 1))
        # More candidates than this take longer than the signs do; the widest signs are the last resort.
        worth = most if self._rotation.shape[1] == WIDTHS[-1] else max(len(self._signs) // 100, 256)
        return min(128, most), min(worth, most)

    @property
    def effort_means(self) -> str:
        return "candidates"

    @property
    def slack(self) -> float | None:
        return None

    @property
    def nbytes(self) -> int:
        return self._store.nbytes + self._rotation.nbytes

    def effort_for(self, effort: int, deeper: float, share: float) -> int:
        return min(MOST, int(effort * deeper**1.2 / share**0.6))  # of the candidates each is permitted already

    def find(self, probe: Vectors, count: int, effort: int, permitted: Permitted | None) -> Candidates:
        signs = self._signs_of(probe)
        wanted = min(max(effort, count), len(self._signs))
        differ, slots = np.empty(wanted, np.int32), np.empty(wanted, np.int64)
        selector = None if permitted is None else permitted.selector()
        pointers = [faiss.swig_ptr(array) for array in (signs, self._signs, differ, slots)]
        with threads_worth(0):
            faiss.hammings_knn_mc(  # type: ignore[call-arg]
                *pointers[:2], 1, len(self._signs), wanted, signs.shape[1], *pointers[2:], selector
            )
        return slots

    def extended(self, vectors: Vectors, first: int) -> SignsFinder:
        new, wanted = copy(self), first + len(vectors)
        if wanted > len(self._store):
            room = max(wanted, 3 * len(self._store) // 2)
            new._store = np.empty((room, self._store.shape[1]), np.uint8)
            new._store[:first] = self._signs
        for start in range(0, len(vectors), BLOCK):
            rows = vectors[start : start + BLOCK]
            new._store[first + start : first + start + len(rows)] = self._signs_of(rows)
        new._signs = new._store[:wanted]
        return new

    def wipe(self, slots: npt.NDArray[np.integer]) -> None:
        self._signs[slots] = 0

    def _signs_of(self, vectors: Vectors) -> npt.NDArray[np.uint8]:
        return np.packbits((vectors - self._centre) @ self._rotation > 0, axis=1)
