"""Vectors under the caller's keys, as they are at one moment, and the exact search among them."""

from __future__ import annotations

from copy import copy
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError
from retrieval.exact_search import Neighbours, Vectors, search_rows
from retrieval.keys import Keys, checked_keys, contains
from retrieval.ranking import NOBODY, Ranking
from retrieval.vectors import squared_distance, unit_rows

Slots = npt.NDArray[np.int32]
FEW = 1 / 8  # allowed items below this share of all are copied and searched alone


class KeyedRows:
    """One row a slot, slots in ascending order of key. Removed items keep their slots until `compacted`.

    A value: `extended`, `without` and `compacted` give another one, and what both have in common they share. Of an
    array that others may see, only two things are ever written: rows beyond those they see, and `wipe`.
    """

    called: ClassVar[str] = "index"

    keys: Keys  # int64 (n,)
    vectors: Vectors  # float32 (n, D); a view of a store with room to grow
    alive: npt.NDArray[np.bool_]  # (n,) not removed
    dead: npt.NDArray[np.intp] | None  # the slots removed, ascending

    def __init__(self, keys: Keys, vectors: Vectors, *, lent: bool) -> None:
        """lent: somebody else holds these vectors too, so nothing may be written into them."""
        self.keys, self.vectors = keys, vectors
        self.alive, self.dead = np.ones(len(keys), np.bool_), None
        self._store, self._lent = vectors, lent

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def count(self) -> int:
        """How many items are there."""
        return len(self.keys) - (0 if self.dead is None else len(self.dead))

    @property
    def dimension(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def nbytes(self) -> int:
        """Memory held beside the vectors, in bytes."""
        return self.keys.nbytes + self.alive.nbytes + (0 if self.dead is None else self.dead.nbytes)

    # ---- asking ------------------------------------------------------------------------------------------------------

    def search(self, probes: Vectors, top: int, allowed: npt.ArrayLike | None) -> Ranking:
        """The plain exact ranking of checked probes."""
        slots = self.permitted(allowed)
        near = self.nearest(probes, top) if slots is None else self.nearest_allowed(probes, top, slots)
        width = min(top, int((near.indices >= 0).sum(axis=1).max(initial=0)))
        found, similarities = near.indices[:, :width], near.similarities[:, :width]
        missing = found < 0
        ids = np.where(missing, NOBODY, self.keys[found])
        return Ranking(ids, np.where(missing, np.inf, squared_distance(similarities)))

    def nearest(self, probes: Vectors, k: int) -> Neighbours:
        return search_rows(probes, self.vectors, k, dead=self.dead)

    def nearest_allowed(self, probes: Vectors, k: int, allowed: Slots) -> Neighbours:
        """The k nearest of the items at the given slots, which ascend."""
        if len(allowed) >= FEW * len(self):
            forbidden = np.ones(len(self), np.bool_)
            forbidden[allowed] = False
            return search_rows(probes, self.vectors, k, dead=np.flatnonzero(forbidden))
        if len(allowed) == 0:
            blank, nothing = np.empty((len(probes), 0), np.int32), np.full(len(probes), -1, np.int32)
            return Neighbours(blank, blank.astype(np.float32), nothing, nothing.astype(np.float32))
        near = search_rows(probes, self.vectors[allowed], k)
        slots = np.where(near.indices >= 0, allowed[near.indices], -1).astype(np.int32)
        return Neighbours(slots, near.similarities, allowed[near.farthest], near.lowest)

    def permitted(self, keys: npt.ArrayLike | None) -> Slots | None:
        """The slots, ascending, of those of the keys that are there; None, which means all, for None."""
        if keys is None:
            return None
        wanted = np.unique(np.asarray(keys, dtype=np.int64))
        at = np.searchsorted(self.keys, wanted)
        at = at[at < len(self)]
        return at[contains(wanted, self.keys[at]) & self.alive[at]].astype(np.int32)

    def slots_of(self, keys: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """The slot of each key; all must be there."""
        wanted = np.atleast_1d(np.asarray(keys, dtype=np.int64))
        slots = np.minimum(np.searchsorted(self.keys, wanted), max(len(self) - 1, 0))
        known = (self.keys[slots] == wanted) & self.alive[slots] if len(self) else wanted < wanted
        if not known.all():
            raise RetrievalError(
                f"the {self.called} has no item with key {int(wanted[~known][0])}: it was never added, or removed"
            )
        return slots

    # ---- the public doors' checks ------------------------------------------------------------------------------------

    def checked_probes(self, probes: npt.ArrayLike, top: int) -> Vectors:
        rows = unit_rows(probes, "probes")
        if rows.shape[1] != self.dimension:
            raise RetrievalError(
                f"the probes have {rows.shape[1]} dimensions and the {self.called} {self.dimension}: use its model"
            )
        if self.count == 0:
            raise RetrievalError("the gallery is empty: add items before searching it")
        if top < 1:
            raise RetrievalError(f"top is {top}: ask for at least 1 result")
        return rows

    def checked_additions(self, keys: npt.ArrayLike, vectors: npt.ArrayLike) -> tuple[Keys, Vectors]:
        rows = unit_rows(vectors)
        if rows.shape[1] != self.dimension:
            raise RetrievalError(
                f"the vectors have {rows.shape[1]} dimensions and the {self.called} {self.dimension}: use its model"
            )
        return checked_keys(keys, len(rows), after=int(self.keys[-1]) if len(self) else None), rows

    # ---- the next version --------------------------------------------------------------------------------------------

    def extended(self, keys: Keys, vectors: Vectors) -> Self:
        """With new items behind the others."""
        new, count, wanted = copy(self), len(self), len(self) + len(keys)
        if wanted > len(self._store):
            new._store = np.empty((max(wanted, 3 * len(self._store) // 2), self.dimension), np.float32)
            new._store[:count] = self.vectors
            new._lent = False
        new._store[count:wanted] = vectors
        new.vectors = new._store[:wanted]
        new.keys = np.concatenate((self.keys, keys))
        new.alive = np.concatenate((self.alive, np.ones(len(keys), np.bool_)))
        return new

    def without(self, slots: npt.NDArray[np.integer]) -> Self:
        """Without the items at these slots; `wipe` takes their vectors out of memory as well."""
        new = copy(self)
        new.alive = self.alive.copy()
        new.alive[slots] = False
        new.dead = np.flatnonzero(~new.alive)
        if self._lent:
            new.vectors = new._store = self.vectors.copy()
            new._lent = False
        return new

    def wipe(self, slots: npt.NDArray[np.integer]) -> None:
        """Overwrites the vectors of removed items, once nobody asks a version that had them."""
        self.vectors[slots] = 0.0

    def compacted(self) -> KeyedRows:
        """With the slots of removed items closed, of which nothing is left then."""
        return self if self.dead is None else KeyedRows(self.keys[self.alive], self.vectors[self.alive], lent=False)

    def lend(self) -> tuple[Keys, Vectors]:
        """The keys and vectors that are there, read-only; nothing that changes later changes them."""
        if self.dead is None:
            self._lent = True
            keys, vectors = self.keys.view(), self.vectors.view()
        else:
            keys, vectors = self.keys[self.alive], self.vectors[self.alive]
        keys.flags.writeable = vectors.flags.writeable = False
        return keys, vectors
