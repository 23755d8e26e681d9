"""Keyed vectors that any number of threads search while one changes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from retrieval.exact_search import Vectors
from retrieval.keyed_rows import KeyedRows
from retrieval.keys import Keys
from retrieval.ranking import Ranking
from retrieval.versions import Versions

Rows = TypeVar("Rows", bound=KeyedRows)


class LiveRows(ABC, Generic[Rows]):
    """What `ExactIndex` and `ReciprocalGraph` have in common.

    Every answer is that of one moment: all of a change, or nothing of it. Nobody who asks waits for a change. Changes
    come one after another, whoever calls; one that fails leaves everything as it was.
    """

    def __init__(self, rows: Rows) -> None:
        self._versions = Versions(rows)

    def __len__(self) -> int:
        return self._versions.now.count

    @property
    def dimension(self) -> int:
        return self._versions.now.dimension

    @property
    def keys(self) -> Keys:
        """int64 (n,): the keys of the items that are there, ascending."""
        rows = self._versions.now
        return rows.keys[rows.alive]

    @property
    def tombstones(self) -> int:
        """Removed items that still have their places, until `compact`."""
        rows = self._versions.now
        return len(rows) - rows.count

    @property
    def nbytes(self) -> int:
        """Memory held for the items beside their vectors, in bytes."""
        return self._versions.now.nbytes

    def search(self, probes: npt.ArrayLike, top: int, *, allowed: npt.ArrayLike | None = None) -> Ranking:
        """The `top` nearest items, exactly; ties by key.

        probes   float (Q, D), unit length; each is answered by itself, as if it were alone.
        allowed  int (n,): the keys that may be returned, all by default.
        """
        with self._versions.asked() as rows:
            return rows.search(rows.checked_probes(probes, top), top, allowed)

    def vectors_of(self, keys: npt.ArrayLike) -> Vectors:
        """float32 (n, D): a copy of the vectors of these items, in the order asked for."""
        with self._versions.asked() as rows:
            return np.asarray(rows.vectors[rows.slots_of(keys)])

    def snapshot(self) -> tuple[Keys, Vectors]:
        """int64 (n,) and float32 (n, D), read-only: the keys and vectors of this moment, whatever is changed later.

        Shared with this one as long as nothing was or is removed, copied otherwise.
        """
        with self._versions.changing:
            return self._versions.now.lend()

    def add(self, keys: npt.ArrayLike, vectors: npt.ArrayLike) -> None:
        """Adds items: float (n, D), unit length; keys ascend, larger than any before. A batch is cheapest."""
        with self._versions.changing:
            now = self._versions.now
            fresh, rows = now.checked_additions(keys, vectors)
            if len(fresh):
                self._versions.publish(self._added(now, fresh, rows))

    def remove(self, keys: npt.ArrayLike) -> None:
        """Removes items: no question asked from here on names or uses them. With an unknown key nothing is removed.

        Returns when the questions under way are answered and the vectors are out of memory.
        """
        with self._versions.changing:
            now = self._versions.now
            slots = now.slots_of(keys)
            after = now.without(slots)
            self._versions.publish(after)
            self._versions.wait_for_earlier()
            after.wipe(slots)

    def compact(self) -> None:
        """Closes the places of removed items, of which nothing is left then."""
        with self._versions.changing:
            self._versions.publish(self._compacted(self._versions.now))

    @abstractmethod
    def _added(self, now: Rows, keys: Keys, vectors: Vectors) -> Rows: ...

    @abstractmethod
    def _compacted(self, now: Rows) -> Rows: ...
