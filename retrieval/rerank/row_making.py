"""From encodings to rows, in the order of columns that a row has."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from retrieval.keys import Keys
from retrieval.rerank.rows import GraphRows

INNER, OWN, OTHER = 0, 1, 2


def as_rows(
    radii: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]],
    inner: tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]],
    alone: sparse.csr_array,
    averaged: sparse.csr_array,
    keys: Keys,
) -> GraphRows:
    """The rows of n items whose encodings are told by item number.

    radii            radius, inner radius and lowest similarity, float32 (n,) each.
    inner            R(i,h) without i: row and item number of each pair.
    alone, averaged  V and V', (n, N), indices ascending in each row.
    keys             int64 (N,): what the items are called.
    """
    size = averaged.shape[1]
    row, column = _pairs(averaged)
    places = _places(row, column, size)
    in_own = np.searchsorted(places, _places(*_pairs(alone), size))
    in_inner = np.searchsorted(places, _places(*inner, size))
    kind = np.full(len(places), OTHER, np.int8)
    kind[in_own] = OWN
    kind[in_inner] = INNER
    own = np.zeros(len(places), np.float32)
    own[in_own] = alone.data
    order = np.lexsort((keys[column], kind, row))  # by key, so that equal rows are equal bytes wherever items stand
    counts = [np.bincount(row[kind <= most], minlength=len(radii[0])) for most in (INNER, OWN, OTHER)]
    return GraphRows(
        np.ones(len(radii[0]), np.bool_),
        *radii,
        np.stack(counts, axis=1).astype(np.int64),
        keys[column[order]],
        averaged.data[order],
        own[order][kind[order] <= OWN],
    )


def _pairs(matrix: sparse.csr_array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.integer]]:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices


def _places(row: npt.NDArray[np.integer], column: npt.NDArray[np.integer], width: int) -> npt.NDArray[np.int64]:
    return row.astype(np.int64) * width + column
