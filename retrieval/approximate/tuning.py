"""How much a search must look at so that it finds what an exact one finds: measured, not believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.approximate.finder import Candidates
from retrieval.exact_search import Neighbours, Vectors, search_rows
from retrieval.similarity import pair_similarities

DEPTH = 10  # recall is of the ten nearest
SAMPLE = 500
NEARER, FARTHER = 1, 4  # of an item's neighbours: the two whose difference makes a new probe of it
FINE = 1.15  # the effort settled on is at most this many times the least that is enough

Find = Callable[[Vectors, int, int], Candidates]


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was settled on.

    effort  how much each search looks at.
    recall  the share of the ten nearest that is then found, at the least: what was seen in a sample of items of the
            gallery less a standard error; for hnsw less two, and of new probes where those find less.
    target  the recall that was asked for.
    items   how many items there were.
    """

    effort: int
    recall: float
    target: float
    items: int


class Questions:
    """A sample of probes and their true nearest neighbours.

    They are items, which may not find themselves. For signs and lists that is as hard as a new probe. To search for
    what is in a graph is easier than for what is not, so then as many are new: an item plus the difference of two of
    its neighbours, of unit length. Of several kinds tried, the recall of these was most like that of probes that had
    been held back from the gallery, and up to a point too high; hence two standard errors there.
    """

    def __init__(self, vectors: Vectors, dead: npt.NDArray[np.intp] | None, *, also_new: bool) -> None:
        alive = np.arange(len(vectors)) if dead is None else np.delete(np.arange(len(vectors)), dead)
        self._vectors, self._errors = vectors, 2 if also_new else 1
        self._depth = min(DEPTH, len(alive) - 1)
        if self._depth < 1:
            return
        chosen = alive[np.unique(np.linspace(0, len(alive) - 1, SAMPLE).astype(np.intp))]
        items = vectors[chosen]
        near = search_rows(items, vectors, self._depth, excluded=chosen, dead=dead)
        self._groups = [(items, chosen, near)]
        if also_new:
            last = self._depth - 1
            nearer, farther = near.indices[:, min(NEARER, last)], near.indices[:, min(FARTHER, last)]
            moved = items + vectors[nearer] - vectors[farther]
            moved /= np.linalg.norm(moved, axis=1, keepdims=True)
            nobody = np.full(len(moved), -1)
            self._groups.append((moved, nobody, search_rows(moved, vectors, self._depth, dead=dead)))

    def recall(self, find: Find, effort: int) -> float:
        """`Tuning.recall` when `find(probe, count, effort)` names the candidates."""
        if self._depth < 1:
            return 1.0
        return min(_at_least(self._shares(find, effort, *group), self._errors) for group in self._groups)

    def _shares(
        self, find: Find, effort: int, probes: Vectors, own: npt.NDArray[np.integer], near: Neighbours
    ) -> list[float]:
        shares = []
        for n, mine in enumerate(own):
            slots = find(probes[n : n + 1], self._depth + int(mine >= 0), effort)
            slots = slots[slots != mine]
            found = pair_similarities(probes[n : n + 1], np.zeros(len(slots), np.int64), self._vectors, slots)
            # Counted by similarity, not by name: of equal items one is as good as the other.
            good = found >= near.similarities[n, self._depth - 1]
            shares.append(min(int(good.sum()), self._depth) / self._depth)
        return shares


def _at_least(shares: list[float], errors: int) -> float:
    return max(float(np.mean(shares) - errors * np.std(shares) / np.sqrt(len(shares))), 0.0)


def tuned(questions: Questions, find: Find, efforts: tuple[int, int], target: float, items: int) -> Tuning:
    """The least effort, within `FINE`, whose recall is the target; the greatest there is where none is enough."""
    low, effort, most = 0, *efforts
    recall = questions.recall(find, effort)
    while recall < target and effort < most:
        low, effort = effort, min(2 * effort, most)
        recall = questions.recall(find, effort)
    while recall >= target and low and effort > max(FINE * low, low + 1):
        middle = round(np.sqrt(low * effort))
        seen = questions.recall(find, middle)
        if seen >= target:
            effort, recall = middle, seen
        else:
            low = middle
    return Tuning(effort, recall, target, items)
