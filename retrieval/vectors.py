"""What may be compared: rows of unit length. The one check that stands at every public door of `retrieval`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError

# A unit vector rounded to float16 is off by at most 2**-11 of its length; anything farther off was never normalised.
NORM_TOLERANCE = 2e-3


def unit_rows(vectors: npt.ArrayLike, name: str = "vectors") -> npt.NDArray[np.float32]:
    """`vectors` as float32 (N, D), C-contiguous, checked to be finite and of unit length; copied only if it must be."""
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if np.ndim(vectors) != 2 or rows.shape[1] == 0:
        raise RetrievalError(f"{name} has shape {np.shape(vectors)}: expected (N, D), one vector a row")
    squared = np.einsum("nd,nd->n", rows, rows)
    if not np.isfinite(squared).all():
        row = int(np.flatnonzero(~np.isfinite(squared))[0])
        raise RetrievalError(f"{name} row {row} holds NaN or infinity: the model or the file that made it is broken")
    wrong = np.abs(squared - 1.0) > 2 * NORM_TOLERANCE
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise RetrievalError(
            f"{name} row {row} has length {float(np.sqrt(squared[row])):.4f}, expected 1: "
            "divide each vector by its Euclidean length before ranking"
        )
    return rows


def squared_distance(similarity: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Squared Euclidean distance of unit vectors from their cosine: 2 - 2 cos, never below 0. Defined here only."""
    return np.asarray(np.maximum(2.0 - 2.0 * similarity, 0.0), dtype=np.float32)
