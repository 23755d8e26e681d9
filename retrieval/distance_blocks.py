"""Read a query x gallery distance matrix a few rows at a time.

MSMT17's matrix (11,659 x 82,161 float32) is 3.8 GB. Everything that reads distances here takes either the whole matrix
or an iterable of consecutive row blocks of it, so that a generator can compute, yield and forget.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
Distances: TypeAlias = FloatArray | Iterable[FloatArray]

# Bounds what is held besides the caller's own block: a few temporaries of this many values.
VALUES_AT_ONCE = 1 << 20


def cosine_from_squared_distance(distances: FloatArray) -> FloatArray:
    """Similarity = 1 - d / 2: the cosine of two unit vectors whose squared Euclidean distance is d. Any shape."""
    return 1 - distances / 2


def row_blocks(distances: Distances, queries: int, gallery: int) -> Iterator[tuple[int, FloatArray]]:
    """Yield (first row, block): all rows in order, in blocks of bounded size, checked, float16 widened to float32.

    distances: (queries, gallery) float array, or an iterable of (rows, gallery) float arrays in query order.
    """
    whole = hasattr(distances, "__array__")
    start = 0
    for given in [distances] if whole else distances:
        block = np.asarray(given)
        if block.dtype.kind != "f":
            raise RetrievalError(f"distances are of dtype {block.dtype}: give floating-point numbers")
        if block.ndim != 2 or block.shape[1] != gallery:
            raise RetrievalError(
                f"{'distances' if whole else 'a block of distances'} has shape {block.shape}, but the gallery has "
                f"{gallery} labels: give (queries, {gallery}), one column a gallery item"
            )
        if start + len(block) > queries:
            raise RetrievalError(f"distances have at least {start + len(block)} rows, but there are {queries} queries")
        step = max(1, VALUES_AT_ONCE // gallery)
        for first in range(0, len(block), step):
            part = block[first : first + step]
            if part.dtype == np.float16:
                part = part.astype(np.float32)  # exact, keeps order and ties, and is faster to sort
            _require_finite(part, start + first)
            yield start + first, part
        start += len(block)
    if start != queries:
        raise RetrievalError(f"distances have {start} rows, but there are {queries} queries: give one row a query")


def _require_finite(block: FloatArray, start: int) -> None:
    finite = np.isfinite(block)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise RetrievalError(
            f"the distance of query {start + row} to gallery item {column} is {block[row, column]}: it has no rank; "
            "look for non-finite embeddings (a crop of one colour, an overflow in half precision)"
        )
