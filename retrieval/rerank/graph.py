"""One probe against a prepared gallery: k-reciprocal re-ranking at the price of a nearest-neighbour search."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from retrieval.array_file import read_arrays, write_arrays
from retrieval.errors import CorruptGraphError, RetrievalError
from retrieval.exact_search import Neighbours, search_rows
from retrieval.gpu_search import Device
from retrieval.neighbours import nearest
from retrieval.ranking import NOBODY, Ranking
from retrieval.rerank.arrivals import Arrivals
from retrieval.rerank.encoding import average, encode, reciprocal, relative_distance
from retrieval.rerank.inverted import InvertedLists, jaccard_distance, sum_by_item
from retrieval.rerank.items import Items
from retrieval.rerank.keys import Keys, checked_keys, contains
from retrieval.rerank.lookup import Slots, named_items, nearest_allowed, slots_of
from retrieval.rerank.probe import ProbeEncoding, Surroundings, encode_probe
from retrieval.rerank.segments import Segments
from retrieval.rerank.settings import RerankSettings
from retrieval.rerank.sparse_rows import SparseRows
from retrieval.similarity import pair_similarities
from retrieval.threads import limited_threads
from retrieval.vectors import squared_distance, unit_rows

FORMAT = "vantage reciprocal graph"
FORMAT_VERSION = 1
SAVED = ("keys", "vectors", "indices", "similarities", "farthest", "lowest", "mutual_half")


@dataclass(frozen=True, slots=True)
class Support:
    """Why an item stands where it stands.

    distance, reranked  both distances.
    mutual              whether probe and item are k1-reciprocal neighbours.
    shared              the neighbours that both lean on, (key, weight), heaviest first; the weights sum to S.
    """

    key: int
    distance: float
    reranked: float
    mutual: bool
    shared: tuple[tuple[int, float], ...]


class ReciprocalGraph:
    """A gallery's neighbour lists, radii and k-reciprocal encodings, kept current while items come and go.

    A probe costs its nearest-neighbour search and a fraction of a millisecond. Its answer is that of the authors' code
    for this one probe and the gallery, but for one thing: what the probe would change in the gallery's own lists and
    encodings, were it an item, is left out. Distances differ a little by it, the order hardly (the tests hold the mAP).

    `add` makes the new items' own lists and encodings at once and marks what else they touch; `remove` takes effect at
    once and marks likewise. Marked rows (`stale` counts them) answer from what they were until `refresh` makes them
    anew, after which the graph equals one built from nothing.

    Keys are the caller's, ascending, never used twice. One thread at a time may call any method.
    """

    def __init__(self, items: Items, encodings: SparseRows, settings: RerankSettings) -> None:
        self.settings = settings
        self._items = items
        self._encodings = encodings
        self._segments = Segments(self._averaged)
        self._dead: npt.NDArray[np.intp] | None = None

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
    ) -> ReciprocalGraph:
        """A graph of a whole gallery.

        vectors  float (N, D), unit length; float32 and C-contiguous is kept, not copied: do not change it. Nor do we.
        keys     int (N,), ascending; 0 to N-1 by default.
        """
        settings = settings or RerankSettings()
        rows = unit_rows(vectors)
        items = Items(checked_keys(keys, len(rows), after=None), rows, settings)
        graph = cls(items, SparseRows(), settings)
        everything = np.arange(len(items), dtype=np.int32)
        if len(items):
            with limited_threads(threads):
                near = nearest(rows, rows, settings.reach, exclude_self=True, device=device)
                graph._set_lists(everything, near)
                items.mutual_half[:] = reciprocal(items.lists, everything, settings.half)
                graph._encodings = SparseRows.of(encode(items.lists, everything, items.mutual_half, settings))
        graph._segments.rebuild(everything, len(items))
        return graph

    # ---- asking ------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._items) - (0 if self._dead is None else len(self._dead))

    @property
    def dimension(self) -> int:
        return int(self._items.vectors.shape[1])

    @property
    def keys(self) -> Keys:
        """int64 (n,): the keys of the items that are there, ascending."""
        return self._items.keys[self._items.alive]

    @property
    def stale(self) -> int:
        """How many items' lists or encodings are not what a rebuild would make them."""
        items = self._items
        return int(np.count_nonzero((items.holed | items.changed | items.outdated) & items.alive))

    @property
    def nbytes(self) -> int:
        """Memory held for the items beside their vectors, in bytes."""
        items = self._items
        own = sum(getattr(items, name).nbytes for name in Items.__annotations__ if name != "vectors")
        return int(own) + self._encodings.nbytes + self._segments.nbytes

    def search(self, probes: npt.ArrayLike, top: int, *, allowed: npt.ArrayLike | None = None) -> Ranking:
        """The plain exact ranking, without re-ranking; arguments as `rank`."""
        rows = self._probes(probes, top)
        slots = self._permitted(allowed)
        near = self._nearest(rows, top) if slots is None else nearest_allowed(self._items, rows, top, slots)
        width = min(top, int((near.indices >= 0).sum(axis=1).max(initial=0)))
        found, similarities = near.indices[:, :width], near.similarities[:, :width]
        missing = found < 0
        ids = np.where(missing, NOBODY, self._items.keys[found])
        return Ranking(ids, np.where(missing, np.inf, squared_distance(similarities)))

    def rank(
        self,
        probes: npt.ArrayLike,
        top: int = 10,
        *,
        found: Ranking | None = None,
        allowed: npt.ArrayLike | None = None,
        candidates: Ranking | None = None,
    ) -> Ranking:
        """The `top` items by re-ranked distance.

        probes      float (Q, D), unit length; each is answered by itself, as if it were alone.
        found       each probe's nearest items of the whole gallery, at least max(k1, top) of them, from an index; by
                    default they are found exactly here. Only its ids are used.
        allowed     int (n,): the keys that may be returned, all by default; neighbourhoods are the whole gallery's.
        candidates  with `allowed`, the `top` nearest of the allowed items from an index; by default found exactly here.
        """
        rows = self._probes(probes, top)
        for ranking in (found, candidates):
            if ranking is not None and len(ranking) != len(rows):
                raise RetrievalError(
                    f"{len(rows)} probes came with a ranking of {len(ranking)} queries: give one row each"
                )
        items, k1, slots = self._items, self.settings.k1, self._permitted(allowed)
        if found is None:
            near = self._nearest(rows, max(self.settings.reach, top))
        else:
            near = named_items(items, rows, found, k1)
        if slots is None:
            pool = near
        elif candidates is None:
            pool = nearest_allowed(items, rows, top, slots)
        else:
            pool = named_items(items, rows, candidates, k1)
        exact_pool = candidates is None if allowed is not None else found is None
        ranked = [self._rank_one(rows[n], near, pool, n, slots, top, exact_pool) for n in range(len(rows))]
        width = max((len(ids) for ids, _, _ in ranked), default=0)
        ids = np.full((len(rows), width), NOBODY, np.int64)
        distances, reranked = np.full((2, len(rows), width), np.inf, np.float32)
        for n, (mine, plain, final) in enumerate(ranked):
            ids[n, : len(mine)], distances[n, : len(mine)], reranked[n, : len(mine)] = mine, plain, final
        return Ranking(ids, distances, reranked)

    def explain(self, probe: npt.ArrayLike, keys: npt.ArrayLike) -> tuple[Support, ...]:
        """Why each of `keys` is as near to the probe (float (D,), unit length) as `rank` says."""
        rows = self._probes(np.asarray(probe, np.float32)[None], 1)
        slots = self._slots_of_known(keys)
        near = self._nearest(rows, self.settings.reach)
        encoding = self._encode_probe(rows[0], near, 0)
        items, shared, places = self._segments.meet(encoding.columns, encoding.weights)
        out = []
        for slot in slots:
            here = np.flatnonzero(items == slot)
            heaviest = here[np.lexsort((places[here], -shared[here]))]
            total = np.asarray([shared[here].sum()], np.float32)
            likeness = pair_similarities(rows, np.zeros(1, np.int64), self._items.vectors, np.asarray([slot]))
            plain, final = self._distances(likeness, total, near.lowest[0])
            leaned = zip(self._items.keys[encoding.columns[places[heaviest]]], shared[heaviest], strict=True)
            out.append(
                Support(
                    key=int(self._items.keys[slot]),
                    distance=float(plain[0]),
                    reranked=float(final[0]),
                    mutual=bool((encoding.mutual == slot).any()),
                    shared=tuple((int(key), float(weight)) for key, weight in leaned),
                )
            )
        return tuple(out)

    # ---- changing ----------------------------------------------------------------------------------------------------

    def add(self, keys: npt.ArrayLike, vectors: npt.ArrayLike) -> None:
        """Adds items: float (n, D), unit length; keys ascend, larger than any before. A batch is cheapest."""
        rows, items, settings = unit_rows(vectors), self._items, self.settings
        if rows.shape[1] != self.dimension:
            raise RetrievalError(
                f"the vectors have {rows.shape[1]} dimensions and the graph {self.dimension}: use its model"
            )
        first = len(items)
        fresh = checked_keys(keys, len(rows), after=int(items.keys[-1]) if first else None)
        if len(fresh) == 0:
            return
        items.extend(fresh, rows, settings)
        slots = np.arange(first, len(items), dtype=np.int32)
        arrivals = Arrivals(items, first)
        near = search_rows(rows, items.vectors, settings.reach, excluded=slots, dead=self._dead, watch=arrivals.watch)
        self._set_lists(slots, near)
        arrivals.settle()
        items.changed[slots] = True
        items.mutual_half[slots] = reciprocal(items.lists, slots, settings.half)
        self._encodings.put(slots, encode(items.lists, slots, items.mutual_half, settings))
        self._segments.touch(slots)

    def remove(self, keys: npt.ArrayLike) -> None:
        """Removes items: no answer names or uses them from here on. With an unknown key nothing is removed."""
        items = self._items
        slots = self._slots_of_known(keys)
        items.forget(slots)
        self._segments.drop(slots)
        self._dead = np.flatnonzero(~items.alive)

    def refresh(self, limit: int | None = None) -> int:
        """Makes up to `limit` stale rows anew (all by default) and returns how many are left."""
        if limit is not None and limit < 1:
            raise RetrievalError(f"limit is {limit}: let a step make at least 1 row anew, or None for all of them")
        items, settings = self._items, self.settings
        budget = 2 * len(items) if limit is None else limit  # a row may need a new list and a new encoding
        torn = np.flatnonzero(items.holed & items.alive)[:budget].astype(np.int32)
        if len(torn):
            near = search_rows(items.vectors[torn], items.vectors, settings.reach, excluded=torn, dead=self._dead)
            self._set_lists(torn, near)
            items.holed[torn] = False
            items.changed[torn] = True
        if items.changed.any() and not (items.holed & items.alive).any():
            self._mark_outdated()
        rows = np.flatnonzero(items.outdated & items.alive)[: budget - len(torn)].astype(np.int32)
        if len(rows):
            self._encodings.put(rows, encode(items.lists, rows, items.mutual_half, settings))
            items.outdated[rows] = False
            renewed = np.zeros(len(items), np.bool_)
            renewed[rows] = True
            touched = renewed | self._lists_any(renewed, settings.k2 - 1)
            self._segments.touch(np.flatnonzero(touched & items.alive))
        return self.stale

    def compact(self) -> None:
        """Refreshes everything and closes the places of removed items, of which nothing is left then."""
        self.refresh()
        old, settings = self._items, self.settings
        alive = np.flatnonzero(old.alive).astype(np.int32)
        if self._dead is not None:
            moved = np.full(len(old) + 1, -1, np.int32)  # one more, so that -1 (no neighbour) stays -1
            moved[alive] = np.arange(len(alive), dtype=np.int32)
            new = Items(old.keys[alive], old.vectors[alive], settings)
            new.indices[:], new.farthest[:] = moved[old.indices[alive]], moved[old.farthest[alive]]
            for name in ("similarities", "lowest", "mutual_half"):
                getattr(new, name)[:] = getattr(old, name)[alive]
            kept = self._encodings.take(alive, len(old))
            kept = sparse.csr_array((kept.data, moved[kept.indices], kept.indptr), shape=(len(alive), len(alive)))
            self._items, self._encodings, self._dead = new, SparseRows.of(kept), None
        self._segments.rebuild(np.arange(len(alive), dtype=np.int32), len(alive))

    # ---- keeping -----------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Compacts, and writes the graph with its vectors to one checksummed file, whole or not at all."""
        self.compact()
        items, lists = self._items, self._segments.single()
        encodings = self._encodings.take(np.arange(len(items)), len(items))
        arrays = {name: getattr(items, name) for name in SAVED}
        arrays |= {"indptr": encodings.indptr, "columns": encodings.indices, "weights": encodings.data}
        arrays |= {"starts": lists.starts, "by_column": lists.items, "column_weights": lists.weights}
        facts = {"format": FORMAT, "version": FORMAT_VERSION, "settings": asdict(self.settings)}
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
        settings = RerankSettings(**facts["settings"])
        items = Items(arrays["keys"], arrays["vectors"], settings)
        for name in SAVED[2:]:
            getattr(items, name)[:] = arrays[name]
        shape = (len(items), len(items))
        encodings = sparse.csr_array((arrays["weights"], arrays["columns"], arrays["indptr"]), shape=shape)
        graph = cls(items, SparseRows.of(encodings), settings)
        graph._segments.restore(InvertedLists(arrays["starts"], arrays["by_column"], arrays["column_weights"]))
        return graph

    # ---- within ------------------------------------------------------------------------------------------------------

    def _probes(self, probes: npt.ArrayLike, top: int) -> npt.NDArray[np.float32]:
        rows = unit_rows(probes, "probes")
        if rows.shape[1] != self.dimension:
            raise RetrievalError(
                f"the probes have {rows.shape[1]} dimensions and the graph {self.dimension}: use its model"
            )
        if len(self) == 0:
            raise RetrievalError("the gallery is empty: add items before searching it")
        if top < 1:
            raise RetrievalError(f"top is {top}: ask for at least 1 result")
        return rows

    def _rank_one(
        self,
        probe: npt.NDArray[np.float32],
        near: Neighbours,
        pool: Neighbours,
        n: int,
        allowed: Slots | None,
        top: int,
        exact_pool: bool,
    ) -> tuple[Keys, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        encoding = self._encode_probe(probe, near, n)
        met, shared, _ = self._segments.meet(encoding.columns, encoding.weights)
        met, total = sum_by_item(met, shared)
        if allowed is not None:
            permitted = contains(allowed, met)
            met, total = met[permitted], total[permitted]
        found = pool.indices[n] >= 0
        nearest, likeness = pool.indices[n][found], pool.similarities[n][found]
        # Whoever is neither among the nearest nor shares anything has a Jaccard distance of 1 and is farther than `top`
        # others, so it cannot be among the best. Of those who share something, many cannot be either: with an exact
        # pool they are no nearer than its last, and their vectors, strewn over all memory, need not be read.
        at = np.searchsorted(met, nearest)
        at[at == len(met)] = 0
        known = met[at] == nearest if len(met) else np.zeros(len(nearest), np.bool_)
        overlap = np.where(known, total[at], np.float32(0)) if len(met) else np.zeros(len(nearest), np.float32)
        plain, final = self._distances(likeness, overlap, near.lowest[n])
        rest = np.ones(len(met), np.bool_)
        rest[at[known]] = False
        if exact_pool and len(nearest) >= top:
            _, least = self._distances(likeness[-1:], total, near.lowest[n])
            rest &= least <= np.partition(final, top - 1)[top - 1]
        farther = met[rest]
        likeness = pair_similarities(probe[None], np.zeros(len(farther), np.int64), self._items.vectors, farther)
        plain_rest, final_rest = self._distances(likeness, total[rest], near.lowest[n])
        slots, plain, final = (
            np.concatenate(both) for both in ((nearest, farther), (plain, plain_rest), (final, final_rest))
        )
        best = np.lexsort((slots, final))[:top]
        return self._items.keys[slots[best]], plain[best], final[best]

    def _encode_probe(self, probe: npt.NDArray[np.float32], near: Neighbours, n: int) -> ProbeEncoding:
        items = self._items
        around = Surroundings(items.vectors, items.indices, items.similarities, items.mutual_half, self._encodings)
        found = near.indices[n] >= 0
        encoding = encode_probe(
            probe, near.indices[n][found], near.similarities[n][found], near.lowest[n], around, self.settings
        )
        if self._dead is None:
            return encoding
        there = items.alive[encoding.columns]  # encodings not made anew yet may still lean on removed items
        return ProbeEncoding(encoding.columns[there], encoding.weights[there], encoding.mutual)

    def _distances(
        self, similarity: npt.NDArray[np.float32], shared: npt.NDArray[np.float32], lowest: float
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The plain and the re-ranked distance of one probe to items with which it shares S."""
        lam = np.float32(self.settings.lam)
        plain = squared_distance(similarity)
        return plain, (1 - lam) * jaccard_distance(shared) + lam * relative_distance(plain, np.float32(lowest))

    def _nearest(self, rows: npt.NDArray[np.float32], k: int) -> Neighbours:
        return search_rows(rows, self._items.vectors, k, dead=self._dead)

    def _permitted(self, keys: npt.ArrayLike | None) -> Slots | None:
        return None if keys is None else slots_of(self._items, np.unique(np.asarray(keys, dtype=np.int64)))

    def _averaged(self, slots: Slots) -> sparse.csr_array:
        size = len(self._items)
        return average(lambda of: self._encodings.take(of, size), self._items.lists, slots, self.settings)

    def _set_lists(self, slots: Slots, near: Neighbours) -> None:
        items = self._items
        items.indices[slots], items.similarities[slots] = near.indices, near.similarities
        items.farthest[slots], items.lowest[slots] = near.farthest, near.lowest

    def _mark_outdated(self) -> None:
        """From changed lists to the encodings that were made from them.

        V[i] is made from i's list, its neighbours' lists (are they reciprocal?) and the reciprocal sets of its
        neighbours, which look one step further: so everything within two steps of a changed list.
        """
        items = self._items
        near = items.changed | self._lists_any(items.changed, self.settings.reach)
        rows = np.flatnonzero(near & items.alive).astype(np.int32)
        items.mutual_half[rows] = reciprocal(items.lists, rows, self.settings.half)
        items.outdated |= near | self._lists_any(near, self.settings.reach)
        items.changed[:] = False

    def _lists_any(self, flags: npt.NDArray[np.bool_], k: int) -> npt.NDArray[np.bool_]:
        """Whose k nearest hold a flagged item: bool (n,)."""
        lists = self._items.indices[:, :k]
        return np.asarray((flags[lists] & (lists >= 0)).any(axis=1))

    def _slots_of_known(self, keys: npt.ArrayLike) -> npt.NDArray[np.intp]:
        wanted = np.atleast_1d(np.asarray(keys, dtype=np.int64))
        slots = np.minimum(np.searchsorted(self._items.keys, wanted), max(len(self._items) - 1, 0))
        known = (self._items.keys[slots] == wanted) & self._items.alive[slots] if len(self._items) else wanted < wanted
        if not known.all():
            raise RetrievalError(
                f"the graph has no item with key {int(wanted[~known][0])}: it was never added, or removed"
            )
        return slots
