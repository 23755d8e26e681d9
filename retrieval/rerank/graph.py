"""One probe against a prepared gallery: k-reciprocal re-ranking at the price of a nearest-neighbour search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from retrieval.array_file import read_arrays, write_arrays
from retrieval.errors import CorruptGraphError, RetrievalError
from retrieval.exact_search import Neighbours, Vectors
from retrieval.gpu_search import Device
from retrieval.keys import Keys, checked_keys
from retrieval.live_rows import LiveRows
from retrieval.neighbours import nearest
from retrieval.ranking import NOBODY, Ranking
from retrieval.rerank import asking, changes
from retrieval.rerank.asking import Support
from retrieval.rerank.encoding import encode, reciprocal
from retrieval.rerank.inverted import InvertedLists
from retrieval.rerank.items import Items
from retrieval.rerank.segments import Segments
from retrieval.rerank.settings import RerankSettings
from retrieval.rerank.sparse_rows import SparseRows
from retrieval.threads import limited_threads
from retrieval.vectors import unit_rows

FORMAT = "vantage reciprocal graph"
FORMAT_VERSION = 1
SAVED = ("keys", "vectors", "indices", "similarities", "farthest", "lowest", "mutual_half")


class ReciprocalGraph(LiveRows[Items]):
    """A gallery's neighbour lists, radii and k-reciprocal encodings, kept current while items come and go.

    A probe costs its nearest-neighbour search and a fraction of a millisecond. Its answer is that of the authors' code
    for this one probe and the gallery, but for one thing: what the probe would change in the gallery's own lists and
    encodings, were it an item, is left out. Distances differ a little by it, the order hardly (the tests hold the mAP).

    `add` makes the new items' own lists and encodings at once and marks what else they touch; `remove` takes effect at
    once and marks likewise. Marked rows (`stale` counts them) answer from what they were until `refresh` makes them
    anew, after which the graph equals one built from nothing.

    Keys are the caller's, ascending, never used twice.

    Any number of threads may ask (`search`, `rank`, `explain`, `vectors_of`, `keys`, `stale`, `nbytes`, `len`) while
    one changes (`add`, `remove`, `refresh`, `compact`, `save`, `snapshot`). Every answer is that of one moment: all of
    a change, or nothing of it. Nobody who asks waits for a change. Changes wait for one another.
    """

    # ---- making one --------------------------------------------------------------------------------------------------

    @classmethod
    def build(
        cls,
        vectors: npt.ArrayLike,
        keys: npt.ArrayLike | None = None,
        settings: RerankSettings | None = None,
        *,
        threads: int | None = None,
        device: Device = "auto",
        progress: Callable[[int, int], None] | None = None,
    ) -> ReciprocalGraph:
        """A graph of a whole gallery.

        vectors   float (N, D), unit length; float32 and C-contiguous is kept, not copied: do not change it. Nor do we.
        keys      int (N,), ascending; 0 to N-1 by default.
        progress  called now and then with how many items are done, and of how many; an item is half done when it has
                  its neighbours and done when it is encoded. What it raises abandons the build.
        """
        items = _blank_items(vectors, keys, settings)

        def done(searched: int, encoded: int) -> None:
            if progress is not None:
                progress((searched + encoded) // 2, len(items))

        if len(items):
            rows, reach = items.vectors, items.settings.reach
            with limited_threads(threads):
                near = nearest(rows, rows, reach, exclude_self=True, device=device, progress=lambda n: done(n, 0))
                _encode_all(items, near, progress=lambda n: done(len(items), n))
        return cls(items)

    @classmethod
    def from_lists(
        cls,
        vectors: npt.ArrayLike,
        near: Neighbours,
        keys: npt.ArrayLike | None = None,
        settings: RerankSettings | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> ReciprocalGraph:
        """What `build` makes, of neighbour lists that were found elsewhere.

        vectors, keys  as in `build`.
        near           each item's `settings.reach` nearest others, exactly, and its farthest; may be memory maps.
        progress       called now and then with how many items are encoded, and of how many; what it raises ends it.
        """
        items = _blank_items(vectors, keys, settings)
        expected = (len(items), items.settings.reach)
        if near.indices.shape != expected:
            raise RetrievalError(
                f"near.indices has shape {near.indices.shape}, not {expected}: give a list for each vector, as long as "
                "the settings reach"
            )
        if len(items):
            _encode_all(items, near, progress=lambda n: progress(n, len(items)) if progress else None)
        return cls(items)

    # ---- asking ------------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> RerankSettings:
        return self._versions.now.settings

    @property
    def stale(self) -> int:
        """How many items' lists or encodings are not what a rebuild would make them."""
        return self._versions.now.stale

    def rank(
        self,
        probes: npt.ArrayLike,
        top: int = 10,
        *,
        found: Ranking | None = None,
        allowed: npt.ArrayLike | None = None,
        candidates: Ranking | None = None,
        sure: bool = False,
    ) -> Ranking:
        """The `top` items by re-ranked distance.

        probes      float (Q, D), unit length; each is answered by itself, as if it were alone.
        found       each probe's nearest items of the whole gallery, at least max(k1, top) of them, from an index; by
                    default they are found exactly here. Only its ids are used.
        allowed     int (n,): the keys that may be returned, all by default; neighbourhoods are the whole gallery's.
        candidates  with `allowed`, the `top` nearest of the allowed items from an index; by default found exactly here.
        sure        whether `found` and `candidates` leave out nothing nearer than what they hold, as with an exact
                    index: less has to be looked at then, and the answer is the same.
        """
        with self._versions.asked() as items:
            return asking.rank(items, items.checked_probes(probes, top), top, found, allowed, candidates, sure)

    def explain(self, probe: npt.ArrayLike, keys: npt.ArrayLike) -> tuple[Support, ...]:
        """Why each of `keys` is as near to the probe (float (D,), unit length) as `rank` says."""
        with self._versions.asked() as items:
            return asking.explain(items, items.checked_probes(np.asarray(probe, np.float32)[None], 1), keys)

    def neighbours_of(self, keys: npt.ArrayLike) -> Keys:
        """int64 (n, reach): the kept neighbour lists of these items, as keys, nearest first; NOBODY where they end."""
        with self._versions.asked() as items:
            lists = items.indices[items.slots_of(keys)]
            return np.where(lists < 0, NOBODY, items.keys[lists])

    # ---- changing ----------------------------------------------------------------------------------------------------

    def refresh(self, limit: int | None = None) -> int:
        """Makes up to `limit` stale rows anew (all by default) and returns how many are left."""
        if limit is not None and limit < 1:
            raise RetrievalError(f"limit is {limit}: let a step make at least 1 row anew, or None for all of them")
        with self._versions.changing:
            items = changes.refreshed(self._versions.now, limit)
            self._versions.publish(items)
            return items.stale

    def compact(self) -> None:
        """Refreshes everything and closes the places of removed items, of which nothing is left then."""
        super().compact()

    def _added(self, now: Items, keys: Keys, vectors: Vectors) -> Items:
        return changes.added(now, keys, vectors)

    def _compacted(self, now: Items) -> Items:
        return changes.compacted(now)

    # ---- keeping -----------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Compacts, and writes the graph with its vectors to one checksummed file, whole or not at all."""
        with self._versions.changing:
            items = changes.compacted(self._versions.now)
            self._versions.publish(items)
            lists, encodings = items.segments.single(), items.encodings.take(np.arange(len(items)), len(items))
            arrays = {name: getattr(items, name) for name in SAVED}
            arrays |= {"indptr": encodings.indptr, "columns": encodings.indices, "weights": encodings.data}
            arrays |= {"starts": lists.starts, "by_column": lists.items, "column_weights": lists.weights}
            facts = {"format": FORMAT, "version": FORMAT_VERSION, "settings": asdict(items.settings)}
            write_arrays(path, facts, arrays)

    @classmethod
    def load(cls, path: Path) -> ReciprocalGraph:
        """What `save` wrote. Raises CorruptGraphError for anything else: build it again from the vectors then."""
        facts, arrays = read_arrays(path)
        if facts.get("format") != FORMAT or facts.get("version") != FORMAT_VERSION:
            raise CorruptGraphError(
                f"{path} is of format {facts.get('format')!r} version {facts.get('version')!r}, not {FORMAT!r} version "
                f"{FORMAT_VERSION}: rebuild it from the vectors"
            )
        items = Items(arrays["keys"], arrays["vectors"], RerankSettings(**facts["settings"]), lent=False)
        for name in SAVED[2:]:
            setattr(items, name, arrays[name])
        shape = (len(items), len(items))
        items.encodings = SparseRows.of(
            sparse.csr_array((arrays["weights"], arrays["columns"], arrays["indptr"]), shape=shape)
        )
        items.segments = Segments.of(InvertedLists(arrays["starts"], arrays["by_column"], arrays["column_weights"]))
        return cls(items)


def _blank_items(vectors: npt.ArrayLike, keys: npt.ArrayLike | None, settings: RerankSettings | None) -> Items:
    rows = unit_rows(vectors)
    items = Items(checked_keys(keys, len(rows), after=None), rows, settings or RerankSettings(), lent=True)
    if not len(items):
        items.segments = Segments.of(InvertedLists.of(items.averaged(np.zeros(0, np.int32))))
    return items


def _encode_all(items: Items, near: Neighbours, progress: Callable[[int], None]) -> None:
    """Gives all items their lists, and the encodings that follow from them."""
    everything = np.arange(len(items), dtype=np.int32)
    items.set_lists(everything, near)
    items.mutual_half[:] = reciprocal(items.lists, everything, items.settings.half)
    encodings = encode(items.lists, everything, items.mutual_half, items.settings, progress=progress)
    items.encodings = SparseRows.of(encodings)
    items.segments = Segments.of(InvertedLists.of(items.averaged(everything)))
