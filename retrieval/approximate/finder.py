"""What names candidates for the nearest neighbours; `FoundRows` compares their vectors and decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import faiss
import numpy as np
import numpy.typing as npt

from retrieval.array_file import Arrays
from retrieval.exact_search import Vectors

Kind = Literal["half", "signs", "hnsw", "ivf", "gpu"]
Candidates: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Permitted:
    """The slots that may be found.

    mask   bool (n,): by slot.
    count  how many are True.
    """

    mask: npt.NDArray[np.bool_]
    count: int

    @property
    def share(self) -> float:
        return self.count / max(len(self.mask), 1)

    def selector(self) -> Any:
        """The same for faiss."""
        return faiss.IDSelectorBitmap(np.packbits(self.mask, bitorder="little"))  # type: ignore[call-arg, arg-type]


@runtime_checkable
class Finder(Protocol):
    """Finds slots whose vectors are probably among the nearest. Any number of threads may ask while one adds."""

    kind: ClassVar[Kind]
    knows_items: ClassVar[bool]  # whether what is in it is found more easily than what is not
    few: ClassVar[float]  # where a smaller share than this is permitted, comparing all of it is faster

    @property
    def parameters(self) -> dict[str, int]:
        """What it was built with."""
        ...

    @property
    def efforts(self) -> tuple[int, int]:
        """The least effort worth trying, and the most."""
        ...

    @property
    def effort_means(self) -> str:
        """The parameter that effort is, by faiss' name where it has one."""
        ...

    @property
    def slack(self) -> float | None:
        """By how much an item that was not named may at most be more similar than the last that was; None where nothing
        is known of it."""
        ...

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes, beside the vectors that the index holds."""
        ...

    def effort_for(self, effort: int, deeper: float, share: float) -> int:
        """What finds as much as `effort` does of the ten nearest of all, where `deeper` times as many results are
        wanted and only a share of the items is permitted: the results are then farther off, among more of their like.
        The exponents were fitted to what was seen.
        """
        ...

    def find(self, probe: Vectors, count: int, effort: int, permitted: Permitted | None) -> Candidates:
        """Candidate slots of one probe, float32 (1, D), in any order, -1 among them; `count` at least where it can."""
        ...

    def extended(self, vectors: Vectors, first: int) -> Finder:
        """With the vectors of the slots from `first` on. The finder that was asked before goes on answering."""
        ...

    def wipe(self, slots: npt.NDArray[np.integer]) -> None:
        """Overwrites what it can of removed items."""
        ...

    def saved(self) -> tuple[dict[str, Any], Arrays]:
        """Facts (JSON) and arrays to make it again from."""
        ...
