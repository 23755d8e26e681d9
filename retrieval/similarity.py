"""The similarity of single pairs, by which every order and every tie is decided."""

from __future__ import annotations

import faiss
import numpy as np
import numpy.typing as npt

from retrieval.threads import threads_worth


def pair_similarities(
    left: npt.NDArray[np.float32],
    left_rows: npt.NDArray[np.integer],
    right: npt.NDArray[np.float32],
    right_rows: npt.NDArray[np.integer],
) -> npt.NDArray[np.float32]:
    """Inner products of `left[left_rows[n]]` and `right[right_rows[n]]`, float32 (n,).

    Each is summed in the same order wherever its vectors stand, and a.b equals b.a to the last bit.
    """
    a = np.ascontiguousarray(left_rows, dtype=np.int64)
    b = np.ascontiguousarray(right_rows, dtype=np.int64)
    out = np.empty(len(a), np.float32)
    if len(a) == 0:
        return out
    arrays = (left, a, right, b, out)
    with threads_worth(len(a) * left.shape[1]):
        faiss.pairwise_indexed_inner_product(  # type: ignore[attr-defined]
            left.shape[1], len(a), *(faiss.swig_ptr(array) for array in arrays)
        )
    return out
