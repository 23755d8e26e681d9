"""The nearest of many without looking at all of them: `ApproximateIndex`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path

import numpy as np
import numpy.typing as npt

from retrieval.approximate.errors import CorruptIndexError
from retrieval.approximate.finder import Finder, Kind
from retrieval.approximate.half import HalfFinder
from retrieval.approximate.hnsw import BUILDS, HnswFinder
from retrieval.approximate.ivf import IvfFinder
from retrieval.approximate.on_gpu import GpuFinder
from retrieval.approximate.rows import FoundRows
from retrieval.approximate.signs import WIDTHS, SignsFinder
from retrieval.approximate.tuning import Tuning
from retrieval.array_file import read_arrays, write_arrays
from retrieval.errors import CorruptGraphError, RetrievalError
from retrieval.exact_search import Vectors
from retrieval.keys import Keys, checked_keys
from retrieval.live_rows import LiveRows
from retrieval.ranking import Ranking
from retrieval.threads import limited_threads
from retrieval.vectors import unit_rows

FORMAT = "vantage approximate index"
FORMAT_VERSION = 1
KINDS: tuple[Kind, ...] = ("half", "signs", "hnsw", "ivf")
"""Those for a processor; `gpu` is the fifth, where faiss sees one."""
FINDERS = {finder.kind: finder for finder in (HalfFinder, SignsFinder, HnswFinder, IvfFinder, GpuFinder)}
Progress = Callable[[int, int], None]


class ApproximateIndex(LiveRows[FoundRows]):
    """Keyed vectors that come and go, searched in less time than all of them take.

    Five kinds name candidates, whose vectors are then compared exactly: distances and the order of ties are those of
    the exact search, and all that may differ is that an item is not there. With `half` and `gpu` nothing differs.

    half   reads every vector, at half its width: exact, and a third of the time. The one to take up to some fifty
           thousand items; for vectors that float16 holds, as a gallery's are, since doubts cost an exact search.
    signs  compares 512 bits of every item with the probe's. The one to take up to some million items: built in seconds,
           forgets removed items wholly, and loses no time to a narrow filter.
    hnsw   walks a graph of near items; its time hardly grows with the gallery. Slow to build.
    ivf    reads the items of the nearest lists.
    gpu    reads every vector, on a GPU: exact, and nothing is as fast at any size that fits there.

    While an index is built, and by `tune`, the share of the true ten nearest that a search finds is measured on a
    sample, and the search looks at more until it reaches the target. `recall` is what it came to.

    Threads and changes are as with `ExactIndex`, with one exception: the graph of hnsw and the lists of ivf can take no
    question during an addition. Additions are made in turns of some milliseconds, and searches go between them.
    hnsw, ivf and gpu keep removed items, passed over, until `compact` builds them again; `holes` is their share.
    """

    # ---- making one --------------------------------------------------------------------------------------------------

    @classmethod
    def build(
        cls,
        kind: Kind,
        vectors: npt.ArrayLike,
        keys: npt.ArrayLike | None = None,
        *,
        target_recall: float = 0.99,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> ApproximateIndex:
        """An index of a whole gallery.

        vectors   float (N, D), unit length; float32 and C-contiguous is kept, not copied: do not change it. Nor do we.
        keys      int (N,), ascending; 0 to N-1 by default.
        progress  called with how many items are in the index by now, and N.
        """
        if kind not in FINDERS:
            raise RetrievalError(f"kind is {kind!r}: use one of {', '.join(FINDERS)}")
        if not 0 < target_recall <= 1:
            raise RetrievalError(f"target_recall is {target_recall}: use a share above 0 and up to 1")
        rows = unit_rows(vectors)
        with limited_threads(threads):
            return cls(built(kind, checked_keys(keys, len(rows), after=None), rows, target_recall, progress, lent=True))

    # ---- asking ------------------------------------------------------------------------------------------------------

    @property
    def kind(self) -> Kind:
        return self._versions.now.finder.kind

    @property
    def recall(self) -> float:
        """The share of the true ten nearest that is found, at the least, by the last measurement."""
        return self._versions.now.tuning.recall

    @property
    def exact(self) -> bool:
        """Whether what is found is what the exact search finds, always."""
        return self._versions.now.finder.slack is not None

    @property
    def tuning(self) -> Tuning:
        return self._versions.now.tuning

    @property
    def parameters(self) -> dict[str, int]:
        """How it was built and how widely it is searched, by faiss' names."""
        now = self._versions.now
        return {**now.finder.parameters, now.finder.effort_means: now.tuning.effort}

    @property
    def holes(self) -> float:
        """The share of removed items among those that are still in the way; `compact` takes them out."""
        now = self._versions.now
        return 1 - now.count / len(now) if len(now) else 0.0

    @property
    def nbytes(self) -> int:
        """Memory held for the items beside their vectors, in bytes."""
        now = self._versions.now
        return now.nbytes + now.finder.nbytes

    def search(
        self,
        probes: npt.ArrayLike,
        top: int,
        *,
        allowed: npt.ArrayLike | None = None,
        widen: float = 1,
        exact: bool = False,
    ) -> Ranking:
        """The `top` nearest items, or as many as there are; ties by key.

        probes   float (Q, D), unit length; each is answered by itself, as if it were alone.
        allowed  int (n,): the keys that may be returned, or bool (n,): whether key i may, and none from n on. All by
                 default. Where these are few they are all compared, so that the answer is exact.
        widen    how many times more than was settled on is looked at.
        exact    whether everything is compared.
        """
        if widen <= 0:
            raise RetrievalError(f"widen is {widen}: use more than 0, and 1 for what was tuned")
        with self._versions.asked() as rows:
            checked = rows.checked_probes(probes, top)
            return rows.search(checked, top, _keys_of(allowed)) if exact else rows.found(checked, top, allowed, widen)

    # ---- changing ----------------------------------------------------------------------------------------------------

    def tune(self, target_recall: float | None = None, *, threads: int | None = None) -> float:
        """Measures recall again, settles the search by it, and returns it: when a gallery has grown or changed much."""
        with self._versions.changing, limited_threads(threads):
            now = self._versions.now
            new = copy(now)
            new.tune(now.tuning.target if target_recall is None else target_recall)
            self._versions.publish(new)
            return new.tuning.recall

    def _added(self, now: FoundRows, keys: Keys, vectors: Vectors) -> FoundRows:
        return now.extended(keys, vectors)

    def _compacted(self, now: FoundRows) -> FoundRows:
        """Built again: signs take a second, the others as long as at first. Searches go on meanwhile."""
        keys, vectors = now.keys[now.alive], now.vectors[now.alive]
        return built(self.kind, keys, vectors, now.tuning.target, None, lent=False)

    # ---- keeping -----------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Writes the index with its vectors to one checksummed file, whole or not at all.

        Removed items are in it until `compact`.
        """
        with self._versions.changing:
            now = self._versions.now
            half = now.vectors.astype(np.float16)
            exact = np.array_equal(half, now.vectors)
            facts, arrays = now.finder.saved()
            facts |= {"format": FORMAT, "version": FORMAT_VERSION, "kind": self.kind, "effort": now.tuning.effort}
            facts |= {"recall": now.tuning.recall, "target": now.tuning.target, "items": now.tuning.items}
            arrays |= {"keys": now.keys, "alive": now.alive, "vectors": half if exact else now.vectors}
            write_arrays(path, facts, arrays)

    @classmethod
    def load(cls, path: Path) -> ApproximateIndex:
        """What `save` wrote. Raises CorruptIndexError for anything else: build it again from the vectors then."""
        try:
            facts, arrays = read_arrays(path)
        except CorruptGraphError as error:
            raise CorruptIndexError(str(error)) from error
        if facts.get("format") != FORMAT or facts.get("version") != FORMAT_VERSION or facts.get("kind") not in FINDERS:
            raise CorruptIndexError(
                f"{path} is of format {facts.get('format')!r} version {facts.get('version')!r}, not {FORMAT!r} version "
                f"{FORMAT_VERSION}: build it again from the vectors"
            )
        try:
            finder: Finder = FINDERS[facts["kind"]].restored(facts, arrays)
        except RetrievalError as error:  # made on a machine that had what this one lacks
            raise CorruptIndexError(f"{path} is of no use here: {error}") from error
        rows = FoundRows(arrays["keys"], arrays["vectors"].astype(np.float32, copy=False), finder, lent=False)
        rows.tuning = Tuning(facts["effort"], facts["recall"], facts["target"], facts["items"])
        removed = np.flatnonzero(~arrays["alive"])
        return cls(rows.without(removed) if len(removed) else rows)


def built(
    kind: Kind, keys: Keys, vectors: Vectors, target: float, progress: Progress | None, *, lent: bool
) -> FoundRows:
    """The first way of building that reaches the target, or the last there is."""
    for finder in _finders(kind, vectors, progress):
        rows = FoundRows(keys, vectors, finder, lent=lent)
        rows.tune(target)
        if rows.tuning.recall >= target:
            break
    return rows


def _finders(kind: Kind, vectors: Vectors, progress: Progress | None) -> Iterator[Finder]:
    """Ways to build a kind, the cheapest to search first."""
    if kind == "half":
        yield HalfFinder.build(vectors)
    elif kind == "gpu":
        yield GpuFinder.build(vectors)
    elif kind == "signs":
        yield from (SignsFinder.build(vectors, bits) for bits in WIDTHS)
    elif kind == "hnsw":
        yield from (HnswFinder.build(vectors, links, width, progress) for links, width in BUILDS)
    else:
        yield IvfFinder.build(vectors, progress)


def _keys_of(allowed: npt.ArrayLike | None) -> npt.ArrayLike | None:
    """Allowed keys, of a mask by key too."""
    wanted = np.asarray(allowed)
    return np.flatnonzero(wanted) if allowed is not None and wanted.dtype == np.bool_ else allowed
