"""The three numbers of k-reciprocal re-ranking, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from retrieval.errors import RetrievalError


@dataclass(frozen=True, slots=True)
class RerankSettings:
    """k1, k2 and lambda of Zhong et al. (CVPR 2017), with the authors' defaults.

    k1   how many neighbours may be reciprocal (the authors' code counts the item itself besides, and so do we).
    k2   over how many nearest items, itself included, an encoding is averaged; 1 leaves it as it is.
    lam  the weight of the original distance; 1 - lam is the weight of the Jaccard distance.
    """

    k1: int = 20
    k2: int = 6
    lam: float = 0.3

    def __post_init__(self) -> None:
        if self.k1 < 1:
            raise RetrievalError(f"k1 is {self.k1}: it counts neighbours, use at least 1 (the authors use 20)")
        if self.k2 < 1:
            raise RetrievalError(f"k2 is {self.k2}: it counts the item itself, use at least 1 (the authors use 6)")
        if not 0.0 <= self.lam <= 1.0:
            raise RetrievalError(f"lam is {self.lam}: it is a weight, use a value from 0 to 1 (the authors use 0.3)")

    @property
    def half(self) -> int:
        """h: the reach of the neighbours' own reciprocal sets in the expansion; halves round to even, as in numpy."""
        return round(self.k1 / 2)

    @property
    def reach(self) -> int:
        """How many neighbours of an item, itself not counted, the whole computation looks at."""
        return max(self.k1, self.half, self.k2 - 1)
