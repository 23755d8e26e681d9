"""Keyed vectors that come and go, searched exactly."""

from __future__ import annotations

import numpy.typing as npt

from retrieval.exact_search import Vectors
from retrieval.keyed_rows import KeyedRows
from retrieval.keys import Keys, checked_keys
from retrieval.live_rows import LiveRows
from retrieval.vectors import unit_rows


class ExactIndex(LiveRows[KeyedRows]):
    """The plain search of `ReciprocalGraph`, without a graph: to be asked while one is built, or instead of one.

    Any number of threads may ask while one changes; the rule is that of `ReciprocalGraph`.
    `ReciprocalGraph.build(vectors, keys)` takes what `snapshot` gives.
    """

    @classmethod
    def build(cls, vectors: npt.ArrayLike, keys: npt.ArrayLike | None = None) -> ExactIndex:
        """An index of these items, of none where N is 0.

        vectors  float (N, D), unit length; float32 and C-contiguous is kept, not copied: do not change it. Nor do we.
        keys     int (N,), ascending; 0 to N-1 by default.
        """
        rows = unit_rows(vectors)
        return cls(KeyedRows(checked_keys(keys, len(rows), after=None), rows, lent=True))

    def _added(self, now: KeyedRows, keys: Keys, vectors: Vectors) -> KeyedRows:
        return now.extended(keys, vectors)

    def _compacted(self, now: KeyedRows) -> KeyedRows:
        return now.compacted()
