"""One search, from the request to the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval import NOBODY, Ranking, ReciprocalGraph, rank_local
from service.gallery.embedded.columns import UNKNOWN, Keys, View
from service.gallery.embedded.filtering import Mask, allowed, same_camera_nearby
from service.gallery.embedded.holdings import Held, Vectors
from service.gallery.embedded.moment import OutdatedError, places_of
from service.gallery.embedded.rows import microseconds
from service.gallery.embedded.superseded import Superseded, items_of
from service.gallery.embedded.truth import Truth
from service.gallery.errors import BadItemError, ModelMismatchError, NoSuchItemError
from service.gallery.items import Item
from service.gallery.searching import Answer, Explanation, Hit, Probe, Reranking, Search
from service.gallery.settings import GallerySettings, RerankMode

FEW = 4096  # allowed items that are compared one and all, rather than sought in an approximate index
LOCAL = 300  # how many of the nearest local re-ranking looks at
AGAIN = 4  # how often over a list that came out too short is made longer


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Who is looked for, once the request has been understood.

    vector      float32 (1, D). camera, at: of the probe, at in microseconds.
    confirmed   keys of items that are this person, by feedback; avoided: keys that are not to be shown.
    """

    vector: Vectors
    camera: str | None
    at: int | None
    confirmed: frozenset[int]
    avoided: frozenset[int]
    hidden: int


class Searcher:
    """`held` and `view` are of one moment; the truth may be a few commits further: see `moment.py`."""

    def __init__(
        self,
        gallery: str,
        settings: GallerySettings,
        truth: Truth,
        superseded: Superseded,
        held: Held,
        view: View,
        now: int,
        missing: str,
        gone: Callable[[], Keys | None],
        *,
        strict: bool,
    ) -> None:
        """gone: the keys that went since `held` and `view` were looked at; None where that is not known.
        strict: whether to raise OutdatedError where something was written since then, rather than leave out what has
        gone."""
        self._gallery, self._settings, self._truth, self._superseded = gallery, settings, truth, superseded
        self._held, self._view, self._now, self._strict = held, view, now, strict
        self._missing_graph = missing  # why there is no graph, in a sentence
        self._gone = gone

    def answer(self, search: Search) -> Answer:
        change = self._truth.change
        laps = _Laps()
        target = self._target(search.probe)
        mask = self._mask(search, target)
        keys = None if mask is None else self._view.keys[mask]
        laps.end("prepare")
        if search.min_score is not None:
            keys = self._at_least(target, search, keys)
            laps.end("search")
        mode, reason = self._mode(search)
        exact = search.exact or self._held.approximate is None
        kept, exhausted = self._fill(target, search, keys, mode, exact, laps)
        hits = self._hits(kept, target, search, laps)
        graph = self._held.graph
        applied = mode != "off" and len(self._held.table) > 0
        return Answer(
            gallery=self._gallery,
            change=change,
            hits=hits,
            requested=search.k,
            exhausted=exhausted and len(hits) < search.k,
            allowed=None if mask is None else int(np.count_nonzero(mask)),
            hidden=target.hidden,
            exact=exact or (self._held.approximate is not None and self._held.approximate.exact),
            reranking=Reranking(
                applied=applied,
                mode=mode,
                k1=self._settings.k1,
                k2=self._settings.k2,
                lam=self._settings.lam,
                reason_skipped=reason,
                stale=graph.stale if graph is not None and mode == "online" else 0,
            ),
            seconds=laps.seconds,
        )

    # ---- understanding the request -----------------------------------------------------------------------------------

    def _target(self, probe: Probe) -> Target:
        mates = np.empty(0, np.intp)
        camera, at = probe.camera, None if probe.captured_at is None else microseconds(probe.captured_at)
        avoided: set[int] = set()
        if probe.item is not None:
            item, key, place = self._item(probe.item)
            camera, at = item.camera, None if item.captured_at is None else microseconds(item.captured_at)
            assert item.vector is not None
            vectors, weights = item.vector[None], np.ones(1)
            avoided.add(key)
            mates = self._mates(np.asarray([place]), ("tracklet", "person"))
        else:
            assert probe.vectors is not None
            vectors = probe.vectors
            weights = np.ones(len(vectors)) if probe.weights is None else np.asarray(probe.weights)
            if vectors.shape[1] != self._settings.dimension:
                raise ModelMismatchError(
                    f"the probe's vectors have {vectors.shape[1]} dimensions and those of gallery {self._gallery!r} "
                    f"{self._settings.dimension}: use its model, {self._settings.model_name}"
                )
        same, hidden = self._said_of(probe, mates)
        hidden -= avoided
        return Target(
            vector=self._fused(vectors, weights, sorted(same)),
            camera=camera,
            at=at,
            confirmed=frozenset(same),
            avoided=frozenset(avoided | hidden),
            hidden=len(hidden),
        )

    def _said_of(self, probe: Probe, mates: npt.NDArray[np.intp]) -> tuple[set[int], set[int]]:
        """By feedback on this person: the keys of items that are the same, and of those that are not to be shown."""
        items = [] if probe.item is None else [probe.item, *self._ids(self._view.keys[mates])]
        names = [] if probe.name is None else [probe.name]
        pairs = self._truth.feedback_of(items=items, names=names) if items or names else ()
        if not pairs:
            return set(), set()
        verdicts = {pair.item: pair.verdict for pair in pairs}
        keys = self._truth.keys_of(list(verdicts))
        self._places(list(keys.values()))
        same = {key for id, key in keys.items() if verdicts[id] == "same"}
        different = sorted(key for id, key in keys.items() if verdicts[id] == "different")
        # A track shows one person all along, so what is said of one of its items holds for all.
        places = self._view.places(different)
        others = np.union1d(places, self._mates(places, ("tracklet",)))
        return same, set(self._view.keys[others].tolist())

    def _item(self, id: str) -> tuple[Item, int, int]:
        found = self._truth.item(id, vector=True)
        if found is None:
            raise no_such_item(self._gallery, id)
        key, item = found
        place = self._places([key])
        if not len(place) or self._view.expires_at[place[0]] <= self._now:
            raise no_such_item(self._gallery, id)
        return item, key, int(place[0])

    def _places(self, keys: Sequence[int]) -> npt.NDArray[np.intp]:
        return places_of(self._view, keys, strict=self._strict)

    def _mates(self, places: npt.NDArray[np.intp], columns: Iterable[str]) -> npt.NDArray[np.intp]:
        """The places of those that share a label with one of these, themselves included."""
        found = np.zeros(len(self._view.keys), np.bool_)
        for name in columns:
            values: npt.NDArray[np.int32] = getattr(self._view, name)
            labels = np.unique(values[places])
            labels = labels[labels != UNKNOWN]
            if len(labels):
                found |= np.isin(values, labels)
        return np.flatnonzero(found & self._view.alive)

    def _ids(self, keys: Keys) -> list[str]:
        return [item.id for item in items_of(self._truth, self._superseded, keys.tolist(), False).values()]

    def _fused(self, vectors: Vectors, weights: npt.NDArray[np.floating], confirmed: list[int]) -> Vectors:
        """One vector of a person: the weighted mean of the crops and of the items confirmed to be the same."""
        total = (vectors.astype(np.float64) * (weights / weights.sum())[:, None]).sum(axis=0)
        if confirmed:
            items = self._truth.items(self._view.keys[self._view.places(confirmed)], vectors=True)
            if self._strict and len(items) < len(confirmed):
                raise OutdatedError
            for item in items.values():
                assert item.vector is not None
                total = total + item.vector
        length = float(np.linalg.norm(total))
        if length < 1e-6:
            raise BadItemError("the probe's vectors cancel each other out: they cannot be crops of one person")
        return np.asarray(total / length, np.float32)[None]

    def _mask(self, search: Search, target: Target) -> Mask | None:
        mask = allowed(self._view, search.filter, self._now, self._truth.keys_with_metadata, strict=self._strict)
        window = search.exclude_same_camera_within_s
        if window is None:
            return mask
        if target.camera is None:
            raise BadItemError(
                f"item {search.probe.item!r} has no camera, so exclude_same_camera_within_s cannot be applied: leave "
                "it out"
            )
        if target.at is None and window != float("inf"):
            raise BadItemError(
                f"item {search.probe.item!r} has no captured_at, so exclude_same_camera_within_s cannot be applied: "
                "leave it out, or exclude its camera"
            )
        mask = self._view.alive.copy() if mask is None else mask
        return mask & ~same_camera_nearby(self._view, target.camera, target.at, window)

    def _mode(self, search: Search) -> tuple[RerankMode, str | None]:
        wanted = search.rerank or self._settings.rerank
        if wanted == "online" and self._held.graph is None:
            return "local", f"re-ranked among the nearest {LOCAL} only: {self._missing_graph}"
        return wanted, None

    # ---- asking the index --------------------------------------------------------------------------------------------

    def _fill(
        self, target: Target, search: Search, keys: Keys | None, mode: RerankMode, exact: bool, laps: _Laps
    ) -> tuple[_Found, bool]:
        """The best `k` that may be shown, and whether there were no more candidates than those that were looked at."""
        possible = None if keys is None else len(keys)  # how many items there are may change until they are asked for
        top = search.k + len(target.avoided) + 1  # one more, to see whether the last has an equal beyond the cut
        while True:
            top = top if possible is None else min(top, possible)
            if top == 0 or not len(self._held.table):
                return _Found.nothing(), True
            found = self._ask(target, keys, top, mode, exact, laps)
            exhausted = top == possible or len(found.keys) < top
            found = self._in_order_of_id(self._once_each(found))
            kept = self._chosen(found, target, search)
            # The last that were looked at may have equals that were not; a cut among those would not go by id.
            open_end = not exhausted and len(kept) and found.order[kept[-1]] == found.order[-1]
            if exhausted or (len(kept) >= search.k and not open_end):
                return found.take(kept), exhausted
            top *= AGAIN

    def _ask(self, target: Target, keys: Keys | None, top: int, mode: RerankMode, exact: bool, laps: _Laps) -> _Found:
        """The `top` nearest of the given keys, or of all."""
        if mode == "off":
            near = self._nearest(target.vector, top, keys, exact)
            laps.end("search")
            return self._none_lost(_Found.of(near), keys)
        if mode == "local":
            return self._none_lost(self._local(target, top, keys, exact, laps), keys)
        graph = self._held.graph
        assert graph is not None
        around = max(self._settings.reranking.reach, top)
        named = None if exact else self._approximate(target.vector, around, None)
        pool = None if exact or keys is None or len(keys) <= FEW else self._approximate(target.vector, top, keys)
        laps.end("search")
        sure = self._held.approximate is not None and self._held.approximate.exact
        ranking = graph.rank(target.vector, top, found=named, allowed=keys, candidates=pool, sure=sure)
        laps.end("rerank")
        found = self._none_lost(_Found.of(ranking), keys)
        return found if named is None else self._none_lost(found, np.sort(_keys_of(named)))

    def _none_lost(self, found: _Found, asked_for: Keys | None) -> _Found:
        """OutdatedError if one of the keys that were asked for, which ascend, went before the index was asked: it may
        have been replaced by an item of another key, which then was not asked for."""
        if not self._strict or asked_for is None or not len(asked_for):
            return found
        gone = self._gone()
        if gone is None:
            raise OutdatedError
        at = np.minimum(np.searchsorted(asked_for, gone), len(asked_for) - 1)
        if len(np.setdiff1d(gone[asked_for[at] == gone], found.keys)):
            raise OutdatedError
        return found

    def _local(self, target: Target, top: int, keys: Keys | None, exact: bool, laps: _Laps) -> _Found:
        """Re-ranks the nearest of the whole gallery together with the nearest that are allowed; shows only these."""
        near = _keys_of(self._nearest(target.vector, max(LOCAL, top), None, exact))
        shown = near
        if keys is not None:
            shown = np.union1d(near[np.isin(near, keys)], _keys_of(self._nearest(target.vector, top, keys, exact)))
        pool = np.union1d(near, shown)
        laps.end("search")
        ranking = rank_local(
            target.vector[0], pool, self._held.table.vectors_of(pool), len(pool), self._settings.reranking
        )
        found = _Found.of(ranking)
        found = found.take(np.flatnonzero(np.isin(found.keys, shown)))
        laps.end("rerank")
        return found.take(np.arange(min(top, len(found.keys))))

    def _nearest(self, vector: Vectors, top: int, keys: Keys | None, exact: bool) -> Ranking:
        if not exact and (keys is None or len(keys) > FEW):
            near = self._approximate(vector, top, keys)
            if near is not None:
                return near
        return self._held.search_all(vector, top, keys)

    def _approximate(self, vector: Vectors, top: int, keys: Keys | None) -> Ranking | None:
        """The nearest by the approximate index, as many as there are; None where there is no such index."""
        index = self._held.approximate
        return None if index is None else index.search(vector, top, allowed=keys)

    def _at_least(self, target: Target, search: Search, keys: Keys | None) -> Keys:
        """The keys of those whose score reaches `min_score`: a filter like the others, once they are known."""
        assert search.min_score is not None
        farthest = np.float32(2 - 2 * search.min_score)
        possible = None if keys is None else len(keys)
        top = search.k + 1
        while len(self._held.table):
            top = top if possible is None else min(top, possible)
            if top == 0:
                break
            ranking = self._held.search_all(target.vector, top, keys)
            count = int(ranking.counts[0])
            near = ranking.ids[0, :count][ranking.distances[0, :count] <= farthest]
            if len(near) < count or count < top or top == possible:
                return np.sort(near)
            top *= AGAIN
        return np.empty(0, np.int64)

    # ---- choosing and telling ----------------------------------------------------------------------------------------

    def _once_each(self, found: _Found) -> _Found:
        """An item that is being replaced may be found as it was and as it is: then only the latter counts."""
        before = self._superseded.among(found.keys.tolist())
        if not before:
            return found
        now = self._truth.keys_of([item.id for item in before.values()])
        both = [key for key, item in before.items() if now.get(item.id, key) != key and now[item.id] in found.keys]
        return found.take(np.flatnonzero(~np.isin(found.keys, both)))

    def _in_order_of_id(self, found: _Found) -> _Found:
        """Orders what is equally far by id. Ids are looked up only for those: equals are rare."""
        equal = np.flatnonzero(found.order[1:] == found.order[:-1])
        if not len(equal):
            return found
        places = np.union1d(equal, equal + 1)
        items = items_of(self._truth, self._superseded, found.keys[places].tolist(), False)
        last = chr(0x10FFFF)  # what is gone comes last, and is dropped later
        ids = {int(key): items[key].id if key in items else last for key in found.keys[places].tolist()}
        everyone = sorted(range(len(found.keys)), key=lambda at: (found.order[at], ids.get(int(found.keys[at]), "")))
        return found.take(np.asarray(everyone))

    def _chosen(self, found: _Found, target: Target, search: Search) -> npt.NDArray[np.intp]:
        """Places of the first `k` that are not to be avoided, with no group over its limit."""
        shown = np.ones(len(found.keys), np.bool_)
        if target.avoided:
            shown &= ~np.isin(found.keys, list(target.avoided))
        places = np.flatnonzero(shown)
        if search.group_by == "none":
            return places[: search.k]
        view = self._view
        at = np.minimum(np.searchsorted(view.keys, found.keys[places]), max(len(view.keys) - 1, 0))
        groups = np.where(view.keys[at] == found.keys[places], getattr(view, search.group_by)[at], UNKNOWN)
        taken: dict[int, int] = {}
        kept = []
        for place, group in zip(places.tolist(), groups.tolist(), strict=True):
            taken[group] = taken.get(group, 0) + 1
            if group == UNKNOWN or taken[group] <= search.max_per_group:
                kept.append(place)
                if len(kept) == search.k:
                    break
        return np.asarray(kept, np.intp)

    def _hits(self, found: _Found, target: Target, search: Search, laps: _Laps) -> tuple[Hit, ...]:
        items = items_of(self._truth, self._superseded, found.keys.tolist(), search.include_vectors)
        there = [place for place, key in enumerate(found.keys.tolist()) if key in items]
        if self._strict and len(there) < len(found.keys):
            raise OutdatedError
        explanations = self._explanations(found.keys[there], target, search)
        hits: list[Hit] = []
        for place in there:
            key, distance = int(found.keys[place]), float(found.distances[place])
            hits.append(
                Hit(
                    rank=len(hits) + 1,
                    item=items[key],
                    score=1 - distance / 2,
                    distance=distance,
                    reranked=None if found.reranked is None else float(found.reranked[place]),
                    confirmed=key in target.confirmed,
                    explanation=explanations.get(key),
                )
            )
        laps.end("fetch")
        return tuple(hits)

    def _explanations(self, keys: Keys, target: Target, search: Search) -> dict[int, Explanation]:
        graph: ReciprocalGraph | None = self._held.graph
        if not search.explain or graph is None or not len(keys):
            return {}
        supports = graph.explain(target.vector[0], keys)
        leaned = sorted({key for support in supports for key, _ in support.shared})
        names = {key: item.id for key, item in self._truth.items(leaned).items()}
        return {
            support.key: Explanation(
                mutual=support.mutual,
                shared=tuple((names[key], weight) for key, weight in support.shared if key in names),
            )
            for support in supports
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Candidates of one probe, best first: keys and distances, all (n,); reranked None where they were not."""

    keys: Keys
    distances: npt.NDArray[np.float32]
    reranked: npt.NDArray[np.float32] | None

    @classmethod
    def of(cls, ranking: Ranking) -> _Found:
        count = int(ranking.counts[0])
        reranked = None if ranking.reranked is None else ranking.reranked[0, :count]
        return cls(ranking.ids[0, :count], ranking.distances[0, :count], reranked)

    @classmethod
    def nothing(cls) -> _Found:
        return cls(np.empty(0, np.int64), np.empty(0, np.float32), None)

    @property
    def order(self) -> npt.NDArray[np.float32]:
        return self.distances if self.reranked is None else self.reranked

    def take(self, places: npt.NDArray[np.integer]) -> _Found:
        reranked = None if self.reranked is None else self.reranked[places]
        return _Found(self.keys[places], self.distances[places], reranked)


class _Laps:
    """Seconds a stage, summed where it comes more than once."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def end(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now


def no_such_item(gallery: str, id: str) -> NoSuchItemError:
    return NoSuchItemError(f"gallery {gallery!r} has no item {id!r}: it was never added, was deleted, or has expired")


def _keys_of(ranking: Ranking) -> Keys:
    ids = ranking.ids[0]
    return np.asarray(ids[ids != NOBODY])
