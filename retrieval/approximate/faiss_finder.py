"""What the finders made by faiss have in common: one faiss index, whose ids are our slots."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import faiss
import numpy as np
import numpy.typing as npt

from retrieval.approximate.errors import CorruptIndexError
from retrieval.approximate.finder import Candidates, Finder, Kind, Permitted
from retrieval.approximate.turns import Turns
from retrieval.array_file import Arrays
from retrieval.errors import RetrievalError
from retrieval.exact_search import Vectors

SPARE = 8  # candidates beyond what was asked for, so that ties at the cut are decided by the vectors


class FaissFinder(Finder):
    """faiss keeps the vectors a second time, as float16: exact for values so rounded, and faster than float32.

    It cannot forget an item. A removed one is passed over in every search and stays in memory until a rebuild.
    """

    kind: ClassVar[Kind]
    knows_items: ClassVar[bool]
    few: ClassVar[float] = 1 / 8
    a_turn: ClassVar[int]  # how many items are added while searches wait

    def __init__(self, index: Any) -> None:
        self._index = index
        self._turns = Turns()

    @classmethod
    def restored(cls, facts: dict[str, Any], arrays: Arrays) -> FaissFinder:
        try:
            return cls(faiss.deserialize_index(arrays["faiss"]))
        except RuntimeError as error:
            raise CorruptIndexError(f"this faiss does not read the saved index ({error}): build it again") from error

    def saved(self) -> tuple[dict[str, Any], Arrays]:
        with self._turns.reading():
            return {}, {"faiss": faiss.serialize_index(self._index)}

    @property
    def slack(self) -> float | None:
        return None

    @property
    def nbytes(self) -> int:
        return int(self._index.ntotal) * self._bytes_an_item()

    def effort_for(self, effort: int, deeper: float, share: float) -> int:
        return int(effort * (deeper / share) ** 0.6)

    def find(self, probe: Vectors, count: int, effort: int, permitted: Permitted | None) -> Candidates:
        with self._turns.reading():
            parameters = self._searching(effort, permitted)
            wanted = min(count + SPARE, int(self._index.ntotal))
            return np.asarray(self._index.search(probe, wanted, params=parameters)[1][0])

    def extended(self, vectors: Vectors, first: int) -> FaissFinder:
        if self._index.ntotal != first:
            raise RetrievalError(
                f"the {self.kind} index holds {self._index.ntotal} items, not {first}: an addition broke off half-way; "
                "call compact(), which builds it again"
            )
        for start in range(0, len(vectors), self.a_turn):
            with self._turns.writing():
                self._index.add(vectors[start : start + self.a_turn])
        return self

    def wipe(self, slots: npt.NDArray[np.integer]) -> None:
        """Nothing: see the class."""

    @abstractmethod
    def _searching(self, effort: int, permitted: Permitted | None) -> Any:
        """faiss' search parameters."""

    @abstractmethod
    def _bytes_an_item(self) -> int: ...
