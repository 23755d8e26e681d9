"""Sparse rows that can be replaced one by one: the items' encodings, kept current while the gallery changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse


class SparseRows:
    """Rows of (column, weight) pairs in two growing pools. A replaced row leaves a gap; half gaps are closed."""

    def __init__(self) -> None:
        self.starts = np.zeros(0, np.int64)
        self.counts = np.zeros(0, np.int32)
        self.columns = np.zeros(0, np.int32)
        self.weights = np.zeros(0, np.float32)
        self._used = 0

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> SparseRows:
        """All rows of `matrix`."""
        rows = cls()
        rows.starts = matrix.indptr[:-1].astype(np.int64)
        rows.counts = np.diff(matrix.indptr).astype(np.int32)
        rows.columns = matrix.indices.astype(np.int32)
        rows.weights = matrix.data.astype(np.float32)
        rows._used = len(rows.columns)
        return rows

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def nbytes(self) -> int:
        return self.starts.nbytes + self.counts.nbytes + self.columns.nbytes + self.weights.nbytes

    def put(self, rows: npt.NDArray[np.int32], matrix: sparse.csr_array) -> None:
        """Row n of `matrix` becomes row `rows[n]`; rows beyond the end are made, empty where nothing was put."""
        missing = int(rows.max(initial=-1)) + 1 - len(self)
        if missing > 0:
            self.starts = np.concatenate((self.starts, np.zeros(missing, np.int64)))
            self.counts = np.concatenate((self.counts, np.zeros(missing, np.int32)))
        if int(self.counts.sum()) * 2 < self._used:
            self._close_gaps()
        end = self._used + matrix.nnz
        if end > len(self.columns):
            spare = max(end, 3 * len(self.columns) // 2) - len(self.columns)
            self.columns = np.concatenate((self.columns, np.zeros(spare, np.int32)))
            self.weights = np.concatenate((self.weights, np.zeros(spare, np.float32)))
        self.columns[self._used : end] = matrix.indices
        self.weights[self._used : end] = matrix.data
        self.starts[rows] = self._used + matrix.indptr[:-1]
        self.counts[rows] = np.diff(matrix.indptr)
        self._used = end

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

    def _close_gaps(self) -> None:
        rows = np.arange(len(self))
        self.columns, self.weights, counts = self.pairs(rows)
        self.starts = np.cumsum(counts) - counts
        self._used = len(self.columns)
