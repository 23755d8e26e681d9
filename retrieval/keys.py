"""The caller's keys: ascending, never used twice, so that a stale answer can never name another person."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError
from retrieval.ranking import NOBODY

Keys = npt.NDArray[np.int64]


def checked_keys(keys: npt.ArrayLike | None, count: int, after: int | None) -> Keys:
    out = np.arange(count, dtype=np.int64) if keys is None else np.atleast_1d(np.asarray(keys))
    if out.ndim != 1 or len(out) != count or (count and not np.issubdtype(out.dtype, np.integer)):
        raise RetrievalError(
            f"keys has shape {out.shape} of {out.dtype}: give one integer for each of the {count} vectors"
        )
    out = out.astype(np.int64)
    if (out[1:] <= out[:-1]).any():
        raise RetrievalError("keys must ascend, each used once: sort keys and vectors together")
    if count and out[0] <= (NOBODY if after is None else after):
        last = "0 is the first that may be used" if after is None else f"the last key used is {after}"
        raise RetrievalError(f"key {int(out[0])} cannot be added: {last}, and keys are never used again")
    return out


def contains(ascending: npt.NDArray[np.integer], wanted: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Which of `wanted` stand in `ascending`; cheap also where `ascending` is long and `wanted` short."""
    at = np.minimum(np.searchsorted(ascending, wanted), max(len(ascending) - 1, 0))
    return np.asarray(ascending[at] == wanted) if len(ascending) else np.zeros(len(wanted), np.bool_)
