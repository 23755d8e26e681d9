"""What a gallery is searched by: every vector, the graph that re-ranks, and an approximate index in front of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from retrieval import ExactIndex, Ranking, ReciprocalGraph
from retrieval.approximate import ApproximateIndex
from service.gallery.embedded.columns import Keys

REMEMBERED = 256  # commits: more than there are while a search takes place
Vectors = npt.NDArray[np.float32]
Table = ReciprocalGraph | ApproximateIndex | ExactIndex


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """One moment's references; a search takes them once, so that a change of index never meets it half-way.

    graph        re-ranks, and holds every vector.
    approximate  names the nearest without looking at every vector, all of which it holds as well.
    plain        every vector and nothing else, where neither of the two is there.
    keeps_graph  whether the graph was asked for, and so is kept however large the gallery becomes.
    """

    graph: ReciprocalGraph | None = None
    approximate: ApproximateIndex | None = None
    plain: ExactIndex | None = None
    keeps_graph: bool = False

    @property
    def table(self) -> Table:
        """Something that holds every vector."""
        return self.all[0]

    @property
    def all(self) -> tuple[Table, ...]:
        return tuple(index for index in (self.graph, self.approximate, self.plain) if index is not None)

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes; vectors that two share are counted for both."""
        return sum(index.nbytes + 4 * index.dimension * len(index) for index in self.all)

    @property
    def tombstones(self) -> int:
        """Removed items whose places are not closed yet, in the one that has most of them."""
        return max(index.tombstones for index in self.all)

    def search_all(self, probe: Vectors, top: int, allowed: Keys | None) -> Ranking:
        """The nearest, found by comparing every vector that is allowed."""
        if isinstance(self.table, ApproximateIndex):
            return self.table.search(probe, top, allowed=allowed, exact=True)
        return self.table.search(probe, top, allowed=allowed)


class Holdings:
    """Changed on the writing thread alone; `now`, `settled` and `gone_since` may be asked by any."""

    def __init__(self, held: Held) -> None:
        self.now = held
        self.settled = 0  # how many commits all that is in memory has taken up
        self._gone: deque[tuple[int, Keys]] = deque(maxlen=REMEMBERED)

    def apply(self, added: Sequence[int], vectors: Vectors, removed: Sequence[int]) -> None:
        """New items first: one that replaces another must be found before the other is gone. Once the columns have
        followed, `settle` is to be called."""
        self._gone.append((self.settled + 1, np.asarray(removed, np.int64)))
        for index in self.now.all:
            if added:
                index.add(np.asarray(added, np.int64), vectors)
            if removed:
                index.remove(np.asarray(removed, np.int64))

    def settle(self) -> None:
        self.settled += 1

    def gone_since(self, settled: int) -> Keys | None:
        """The keys that went, or are going, after that many commits; None if it is not remembered any more."""
        recent = [(number, keys) for number, keys in self._gone.copy() if number > settled]
        if recent and recent[0][0] > settled + 1:
            return None
        return np.concatenate((np.empty(0, np.int64), *(keys for _, keys in recent)))

    def adopt_graph(self, graph: ReciprocalGraph) -> None:
        """Takes a graph that was built aside, brought up to what has changed since."""
        catch_up(graph, self.now.table)
        self.now = replace(self.now, graph=graph, plain=None)

    def keep_graph(self) -> None:
        """From now on whatever the size."""
        self.now = replace(self.now, keeps_graph=True)

    def adopt_approximate(self, index: ApproximateIndex | None) -> None:
        """Takes an approximate index that was built aside, or with None leaves the one there is."""
        if index is not None:
            catch_up(index, self.now.table)
        self.now = replace(self.now, approximate=index, plain=self._alone(self.now.graph, index))

    def give_up_graph(self) -> None:
        """Keeps the vectors and lets the graph go."""
        self.now = replace(self.now, graph=None, plain=self._alone(None, self.now.approximate))

    def _alone(self, graph: ReciprocalGraph | None, approximate: ApproximateIndex | None) -> ExactIndex | None:
        if graph is not None or approximate is not None:
            return None
        keys, vectors = self.now.table.snapshot()
        return ExactIndex.build(vectors, keys)


def catch_up(index: ReciprocalGraph | ApproximateIndex, table: Table) -> None:
    """Gives `index` exactly the items of `table`."""
    new, gone = difference(index.keys, table.keys)
    if len(new):
        index.add(new, table.vectors_of(new))
    if len(gone):
        index.remove(gone)


def difference(there: Keys, wanted: Keys) -> tuple[Keys, Keys]:
    """What is missing of `wanted`, and what is there beside it."""
    return np.setdiff1d(wanted, there, assume_unique=True), np.setdiff1d(there, wanted, assume_unique=True)
