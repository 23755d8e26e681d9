"""Sparse rows that can be replaced one by one: the items' encodings, kept current while the gallery changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse


class SparseRows:
    """Rows of (column, weight) pairs in two growing pools. A replaced row leaves a gap; half gaps are closed.

    A value: `replaced` gives another one, which goes on in the same pools behind what this one reads.
    """

    def __init__(
        self,
        starts: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int32],
        columns: npt.NDArray[np.int32],
        weights: npt.NDArray[np.float32],
        used: int,
    ) -> None:
        self.starts, self.counts = starts, counts
        self.columns, self.weights = columns, weights
        self._used = used

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> SparseRows:
        """All rows of `matrix`."""
        return cls(
            matrix.indptr[:-1].astype(np.int64),
            np.diff(matrix.indptr).astype(np.int32),
            matrix.indices.astype(np.int32),
            matrix.data.astype(np.float32),
            matrix.nnz,
        )

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def nbytes(self) -> int:
        return self.starts.nbytes + self.counts.nbytes + self.columns.nbytes + self.weights.nbytes

    def replaced(self, rows: npt.NDArray[np.int32], matrix: sparse.csr_array) -> SparseRows:
        """Row n of `matrix` as row `rows[n]`; rows beyond the end are made, empty where nothing was put."""
        kept = self._without_gaps() if int(self.counts.sum()) * 2 < self._used else self
        missing = max(int(rows.max(initial=-1)) + 1 - len(kept), 0)
        starts = np.concatenate((kept.starts, np.zeros(missing, np.int64)))
        counts = np.concatenate((kept.counts, np.zeros(missing, np.int32)))
        columns, weights, begin = kept.columns, kept.weights, kept._used
        end = begin + matrix.nnz
        if end > len(columns):
            spare = max(end, 3 * len(columns) // 2) - len(columns)
            columns = np.concatenate((columns, np.zeros(spare, np.int32)))
            weights = np.concatenate((weights, np.zeros(spare, np.float32)))
        columns[begin:end], weights[begin:end] = matrix.indices, matrix.data
        starts[rows] = begin + matrix.indptr[:-1]
        counts[rows] = np.diff(matrix.indptr)
        return SparseRows(starts, counts, columns, weights, end)

    def take(self, rows: npt.NDArray[np.integer], width: int) -> sparse.csr_array:
        """The given rows as a matrix (len(rows), width)."""
        columns, weights, counts = self.pairs(rows)
        indptr = np.concatenate(([0], np.cumsum(counts)))
        return sparse.csr_array((weights, columns, indptr), shape=(len(rows), width))

    def pairs(
        self, rows: npt.NDArray[np.integer]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        """The columns and weights of the given rows one after another, and how many each row has."""
        counts = self.counts[rows]
        ends = np.cumsum(counts)
        at = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.starts[rows] - (ends - counts), counts)
        return self.columns[at], self.weights[at], counts

    def _without_gaps(self) -> SparseRows:
        columns, weights, counts = self.pairs(np.arange(len(self)))
        return SparseRows(np.cumsum(counts) - counts, counts, columns, weights, len(columns))
