"""Encodings by column: who carries weight on item j, and how much. It finds a probe's overlap with everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

Key = TypeVar("Key", np.int32, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class InvertedLists:
    """starts int64 (N+1,); items int32 (nnz,); weights float32 (nnz,): column j is starts[j]:starts[j+1]."""

    starts: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]

    @classmethod
    def of(cls, encodings: sparse.csr_array, items: npt.NDArray[np.int32] | None = None) -> InvertedLists:
        """From V' (M, N); `items` names its rows where row number and item differ."""
        columns = encodings.tocsc()
        rows = columns.indices.astype(np.int32, copy=False)
        return cls(columns.indptr.astype(np.int64), rows if items is None else items[rows], columns.data)

    @property
    def nbytes(self) -> int:
        return self.starts.nbytes + self.items.nbytes + self.weights.nbytes

    def meet(
        self, columns: npt.NDArray[np.integer], weights: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Where one encoding and the lists' encodings both have weight.

        columns, weights  (m,): the encoding's non-zeros.
        Returns, for each meeting, the item, min(its weight, the encoding's), and the place in `columns`.
        """
        start = self.starts[columns]
        counts = self.starts[columns + 1] - start
        place = np.repeat(np.arange(len(columns)), counts)
        ends = np.cumsum(counts)
        at = np.arange(ends[-1] if len(ends) else 0) + (start - (ends - counts))[place]
        return self.items[at], np.minimum(self.weights[at], weights[place]), place


def jaccard_distance(shared: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """1 - S / (2 - S) from S = sum_j min(V'[q,j], V'[g,j]): the rows of V' sum to 1, so max sums to 2 - S."""
    return 1.0 - shared / (2.0 - shared)


def sum_by_item(
    items: npt.NDArray[Key], values: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[Key], npt.NDArray[np.float32]]:
    """The distinct items, ascending, and the sum of each one's values; its cost does not grow with the gallery."""
    if len(items) == 0:
        return items, values
    order = np.argsort(items)
    items, values = items[order], values[order]
    first = np.concatenate(([True], items[1:] != items[:-1]))
    return items[first], np.add.reduceat(values, np.flatnonzero(first))
