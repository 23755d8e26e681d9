"""The keyed vectors of one moment with a finder beside them: candidates first, then their exact similarities."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from retrieval.approximate.finder import Candidates, Finder, Permitted
from retrieval.approximate.tuning import DEPTH, Questions, Tuning, tuned
from retrieval.exact_search import Vectors, search_rows
from retrieval.keyed_rows import KeyedRows
from retrieval.keys import Keys
from retrieval.ranking import NOBODY, Ranking
from retrieval.similarity import pair_similarities
from retrieval.vectors import squared_distance

Row = tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]


class FoundRows(KeyedRows):
    """`KeyedRows`, and where to look for a probe's neighbours."""

    called: ClassVar[str] = "index"

    def __init__(self, keys: Keys, vectors: Vectors, finder: Finder, *, lent: bool) -> None:
        super().__init__(keys, vectors, lent=lent)
        self.finder = finder
        self.tuning = Tuning(0, 0.0, 0.0, 0)

    def found(self, probes: Vectors, top: int, allowed: npt.ArrayLike | None, widen: float) -> Ranking:
        """The approximate ranking of checked probes: each has as many results as there are, up to `top`."""
        permitted = self._permitted_slots(allowed)
        there = len(self) if permitted is None else permitted.count
        width = min(top, there)
        slots = np.full((len(probes), width), NOBODY, np.int64)
        similarities = np.zeros((len(probes), width), np.float32)
        every = None if permitted is None or permitted.share > self.finder.few else np.flatnonzero(permitted.mask)
        effort = 0
        if width and every is None:
            share = 1.0 if permitted is None else permitted.share
            effort = max(1, round(widen * self.finder.effort_for(self.tuning.effort, max(1, width / DEPTH), share)))
        for n in range(len(probes) if width else 0):
            probe = probes[n : n + 1]
            candidates = self.candidates(probe, width, effort, permitted) if every is None else every
            chosen, likeness, least = self._best(probe, candidates, width)
            # The finder saw too few that are permitted, or something that it did not name may belong here.
            if len(chosen) < width or (every is None and self._in_doubt(likeness[-1], least, len(candidates), there)):
                chosen, likeness = self._exactly(probe, width, permitted)
            slots[n], similarities[n] = chosen, likeness
        return Ranking(self.keys[slots], squared_distance(similarities))

    def candidates(self, probe: Vectors, count: int, effort: int, permitted: Permitted | None) -> Candidates:
        """What the finder names, and of that only what is there and permitted, whatever faiss made of the filter."""
        slots = self.finder.find(probe, count, effort, permitted)
        slots = slots[(slots >= 0) & (slots < len(self))]  # a later version's items may be in the finder already
        return slots if permitted is None else slots[permitted.mask[slots]]

    def tune(self, target: float) -> None:
        """Measures recall and settles how much a search looks at. Only before the version is published."""
        questions, permitted = (
            Questions(self.vectors, self.dead, also_new=self.finder.knows_items),
            self._permitted_slots(None),
        )

        def find(probe: Vectors, count: int, effort: int) -> Candidates:
            return self.candidates(probe, count, effort, permitted)

        self.tuning = tuned(questions, find, self.finder.efforts, target, self.count)

    def extended(self, keys: Keys, vectors: Vectors) -> FoundRows:
        new = super().extended(keys, vectors)
        new.finder = self.finder.extended(new.vectors[len(self) :], len(self))
        return new

    def wipe(self, slots: npt.NDArray[np.integer]) -> None:
        super().wipe(slots)
        self.finder.wipe(slots)

    def _permitted_slots(self, allowed: npt.ArrayLike | None) -> Permitted | None:
        """Which slots may be found; None where all may."""
        if allowed is None:
            return None if self.dead is None else Permitted(self.alive, self.count)
        wanted = np.asarray(allowed)
        if wanted.dtype != np.bool_:
            wanted = _by_key(wanted.astype(np.int64), int(self.keys[-1]) + 1 if len(self) else 0)
        mask = np.zeros(len(self), np.bool_)
        known = int(np.searchsorted(self.keys, len(wanted)))  # keys beyond the mask are not allowed
        mask[:known] = wanted[self.keys[:known]]
        mask &= self.alive
        return Permitted(mask, int(np.count_nonzero(mask)))

    def _best(
        self, probe: Vectors, slots: npt.NDArray[np.integer], top: int
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32], float]:
        """The `top` most similar of these slots, in the order of the exact search, and the least similarity of all."""
        likeness = pair_similarities(probe, np.zeros(len(slots), np.int64), self.vectors, slots)
        least = float(likeness.min(initial=np.inf))
        if len(slots) > top:
            close = np.flatnonzero(likeness >= np.partition(likeness, -top)[-top])
            slots, likeness = slots[close], likeness[close]
        order = np.lexsort((slots, -likeness))[:top]
        return slots[order].astype(np.intp), likeness[order], least

    def _in_doubt(self, last: float, least: float, named: int, there: int) -> bool:
        """Of a finder that answers for what it leaves out: whether that may be as similar as the last result."""
        slack = self.finder.slack
        return slack is not None and named < there and last <= least + slack

    def _exactly(self, probe: Vectors, top: int, permitted: Permitted | None) -> Row:
        dead = None if permitted is None else np.flatnonzero(~permitted.mask)
        near = search_rows(probe, self.vectors, top, dead=dead)
        return near.indices[0].astype(np.intp), near.similarities[0]


def _by_key(keys: Keys, size: int) -> npt.NDArray[np.bool_]:
    """bool (size,): whether each key below `size` is among these; one byte a key that was ever used."""
    mask = np.zeros(size, np.bool_)
    mask[keys[(keys >= 0) & (keys < size)]] = True
    return mask
