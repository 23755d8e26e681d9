"""One search, from the request to the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from retrieval.rerank import CandidateGraph
from service.gallery.embedded.rows import microseconds
from service.gallery.embedded.searcher import no_such_item
from service.gallery.errors import BadItemError, ModelMismatchError, UnavailableError
from service.gallery.milvus import schema
from service.gallery.milvus.entry import Entry
from service.gallery.milvus.expressions import alive, everyone, meets, not_by_that_camera_then, one_of
from service.gallery.milvus.found import Found
from service.gallery.milvus.laps import Laps
from service.gallery.milvus.remembered import Remembered
from service.gallery.milvus.reranking import MOST_UNENCODED, locally, online, unencoded
from service.gallery.milvus.rows import DESCRIBING, NO_TIME, in_blocks, item, vectors
from service.gallery.milvus.scanning import scan_all
from service.gallery.milvus.server import MOST_ROWS, Entity, Server
from service.gallery.searching import Answer, Explanation, Hit, Probe, Reranking, Search
from service.gallery.settings import RerankMode

FEW = 256  # allowed items that are all read and compared here, rather than sought in an approximate index
FEW_ON_DEMAND = 4096  # ... where the search is to be exact, and the index cannot be
LOCAL = 300  # how many of the nearest local re-ranking looks at
AROUND = 400  # ... and online re-ranking, which knows of their neighbours besides
ATTEMPTS = 8  # at a search whose items were replaced or deleted while they were looked at
AGAIN = 4  # how often over a list that came out too short is made longer
LABELS_AT_ONCE = 500
EQUAL = np.float32(1e-6)  # a server's distances, by which it cuts a list off, are so far from ours


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Who is looked for, once the request has been understood.

    vector      float32 (D,). camera, at: of the probe, at in microseconds.
    confirmed   ids of items that are this person, by feedback; avoided: ids that are not to be shown.
    """

    vector: npt.NDArray[np.float32]
    camera: str | None
    at: int | None
    confirmed: frozenset[str]
    avoided: frozenset[str]
    hidden: int


@dataclass(frozen=True, slots=True)
class _Asked:
    """expression: what may be found. allowed: how many that are, where it is more than not having expired."""

    search: Search
    expression: str
    allowed: int | None
    mode: RerankMode


@dataclass(frozen=True, slots=True, eq=False)
class _Done:
    """What was done about re-ranking; anybody: whether there was somebody to compare with."""

    mode: RerankMode
    anybody: bool
    reason: str | None = None
    graph: CandidateGraph | None = None
    stale: int = 0


class Searcher:
    """Of one gallery as it is when the search begins, or later."""

    def __init__(self, server: Server, remembered: Remembered, entry: Entry) -> None:
        self._server, self._remembered, self._entry, self._now = server, remembered, entry, entry.now

    def answer(self, search: Search) -> Answer:
        laps, settings = Laps(), self._entry.settings
        target = self._target(search.probe)
        expression = self._expression(search, target)
        allowed = None
        if not search.filter.empty or search.exclude_same_camera_within_s is not None:
            allowed = self._server.count(self._entry.collection, expression, self._entry.seen)
        laps.end("prepare")
        asked = _Asked(search, expression, allowed, search.rerank or settings.rerank)
        kept, exhausted, done = self._fill(target, asked, laps)
        hits = self._hits(kept, target, search, done)
        laps.end("fetch")
        return Answer(
            gallery=self._entry.name,
            change=self._entry.change,
            hits=hits,
            requested=search.k,
            exhausted=exhausted and len(hits) < search.k,
            allowed=allowed,
            hidden=target.hidden,
            exact=self._compared_all(search, allowed),
            reranking=Reranking(
                applied=done.mode != "off" and done.anybody,
                mode=done.mode,
                k1=settings.k1,
                k2=settings.k2,
                lam=settings.lam,
                reason_skipped=done.reason,
                stale=done.stale,
            ),
            seconds=laps.seconds,
        )

    # ---- understanding the request -----------------------------------------------------------------------------------

    def _target(self, probe: Probe) -> Target:
        camera, at = probe.camera, None if probe.captured_at is None else microseconds(probe.captured_at)
        avoided: set[str] = set()
        mine: Entity | None = None
        if probe.item is not None:
            mine = self._item(probe.item)
            camera = mine["camera"] or None
            at = None if mine["captured_at"] == NO_TIME else int(mine["captured_at"])
            rows, weights = vectors([mine]), np.ones(1)
            avoided.add(probe.item)
        else:
            assert probe.vectors is not None
            rows = probe.vectors
            weights = np.ones(len(rows)) if probe.weights is None else np.asarray(probe.weights)
            if rows.shape[1] != self._entry.settings.dimension:
                raise ModelMismatchError(
                    f"the probe's vectors have {rows.shape[1]} dimensions and those of gallery {self._entry.name!r} "
                    f"{self._entry.settings.dimension}: use its model, {self._entry.settings.model_name}"
                )
        same, hidden = self._said_of(probe, mine)
        hidden -= avoided
        return Target(
            vector=self._fused(rows, weights, sorted(same)),
            camera=camera,
            at=at,
            confirmed=frozenset(same),
            avoided=frozenset(avoided | hidden),
            hidden=len(hidden),
        )

    def _said_of(self, probe: Probe, mine: Entity | None) -> tuple[set[str], set[str]]:
        """By feedback on this person: the ids of items that are the same, and of those that are not to be shown."""
        if not self._remembered.has_feedback(self._entry):
            return set(), set()
        items = [] if mine is None else [mine["id"], *self._mates("tracklet", [mine]), *self._mates("person", [mine])]
        names = [] if probe.name is None else [probe.name]
        verdicts = {pair.item: pair.verdict for pair in self._remembered.feedback_of(self._entry, items, names)}
        if not verdicts:
            return set(), set()
        spoken_of = {entity["id"]: entity for entity in self._by_ids(sorted(verdicts), ("id", "tracklet"))}
        same = {id for id in spoken_of if verdicts[id] == "same"}
        different = [spoken_of[id] for id in spoken_of if verdicts[id] == "different"]
        # A track shows one person all along, so what is said of one of its items holds for all.
        return same, {entity["id"] for entity in different} | set(self._mates("tracklet", different))

    def _item(self, id: str) -> Entity:
        found = self._by_ids([id], (*DESCRIBING, "vector"))
        if not found or int(found[0]["expires_at"]) <= self._now:
            raise no_such_item(self._entry.name, id)
        return found[0]

    def _by_ids(self, ids: Sequence[str], fields: Sequence[str]) -> list[Entity]:
        return [
            found
            for block in in_blocks(ids, LABELS_AT_ONCE)
            for found in self._server.query(self._entry.collection, one_of("id", block), fields, self._entry.seen)
        ]

    def _mates(self, label: str, entities: Sequence[Entity]) -> list[str]:
        """The ids of those that share a label with one of these."""
        labels = sorted({entity[label] for entity in entities} - {""})
        return [
            found["id"]
            for block in in_blocks(labels, LABELS_AT_ONCE)
            for found in scan_all(self._server, self._entry, one_of(label, block), ("id", "key"))
        ]

    def _fused(
        self, rows: npt.NDArray[np.float32], weights: npt.NDArray[np.floating], confirmed: Sequence[str]
    ) -> npt.NDArray[np.float32]:
        """One vector of a person: the weighted mean of the crops and of the items confirmed to be the same."""
        total = (rows.astype(np.float64) * (weights / weights.sum())[:, None]).sum(axis=0)
        if confirmed:
            there = sorted(self._by_ids(confirmed, ("id", "key", "vector")), key=lambda entity: int(entity["key"]))
            for vector in vectors(there):
                total = total + vector
        length = float(np.linalg.norm(total))
        if length < 1e-6:
            raise BadItemError("the probe's vectors cancel each other out: they cannot be crops of one person")
        return np.asarray(total / length, np.float32)

    def _expression(self, search: Search, target: Target) -> str:
        """What may be found."""
        window, camera = search.exclude_same_camera_within_s, ""
        if window is not None:
            if target.camera is None:
                raise BadItemError(
                    f"item {search.probe.item!r} has no camera, so exclude_same_camera_within_s cannot be applied: "
                    "leave it out"
                )
            if target.at is None and window != float("inf"):
                raise BadItemError(
                    f"item {search.probe.item!r} has no captured_at, so exclude_same_camera_within_s cannot be "
                    "applied: leave it out, or exclude its camera"
                )
            camera = not_by_that_camera_then(target.camera, target.at, window)
        return everyone(alive(self._now), meets(search.filter), camera)

    # ---- asking the server -------------------------------------------------------------------------------------------

    def _fill(self, target: Target, asked: _Asked, laps: Laps) -> tuple[Found, bool, _Done]:
        """The best `k` that may be shown, whether there were no more candidates than those that were looked at, and
        what was done to find them."""
        search = asked.search
        top = search.k + len(target.avoided) + 1  # one more, to see whether the last has an equal beyond the cut
        while True:
            top = min(top, MOST_ROWS - 1)
            found, complete, done = self._ask(target, asked, top, laps)
            kept = self._chosen(found, target, search)
            # The last that were looked at may have equals that were not; a cut among those would not go by id.
            open_end = not complete and bool(kept) and found.order[-1] - found.order[kept[-1]] <= EQUAL
            if complete or top == MOST_ROWS - 1 or (len(kept) >= search.k and not open_end):
                return found.take(kept), complete, done
            top *= AGAIN

    def _ask(self, target: Target, asked: _Asked, top: int, laps: Laps) -> tuple[Found, bool, _Done]:
        """The `top` best of those that may be found, in order, whether there are no more, and what was done."""
        search, mode, settings = asked.search, asked.mode, self._entry.settings.reranking
        farthest = None if search.min_score is None else np.float32(2 - 2 * search.min_score)
        if mode == "off":
            shown, complete = self._nearest(target, search, asked.expression, asked.allowed, top)
            laps.end("search")
            near = shown.up_to(farthest)
            return near, complete or len(near) < len(shown), _Done("off", len(shown) > 0)
        local = wide = max(LOCAL, top)
        fields: tuple[str, ...] = DESCRIBING
        if mode == "online":
            wide, fields = max(AROUND, settings.reach, top), (*DESCRIBING, "near")
        around, complete = self._nearest(target, search, "", None, wide, fields)
        if asked.allowed is None:
            shown = around.take([at for at, one in enumerate(around.entities) if int(one["expires_at"]) > self._now])
        else:
            shown, complete = self._nearest(target, search, asked.expression, asked.allowed, wide, fields)
        near = shown.up_to(farthest)
        complete = complete or len(near) < len(shown)
        done = _Done(mode, len(around) > 0)
        if not len(near):
            return near, complete, done
        if mode == "online":
            done = self._how_online(near, around)
        laps.end("search")
        if done.mode == "online":
            reranked = online(near, around, self._lowest(target, search), settings)
            ranked, done = reranked.found, replace(done, graph=reranked.graph, stale=reranked.stale)
        else:
            nearest = set(around.ids[:local])
            near = near.take([place for place, id in enumerate(near.ids) if place < top or id in nearest])
            ranked = locally(target.vector, near, around.take(range(min(len(around), local))), settings)
        laps.end("rerank")
        return ranked.take(range(min(top, len(ranked)))), complete and len(ranked) <= top, done

    def _how_online(self, near: Found, around: Found) -> _Done:
        """Online, unless too little is known of the candidates' neighbours for that."""
        missing = unencoded(near, around)
        if missing <= MOST_UNENCODED and missing < len(around):
            return _Done("online", True)
        return _Done(
            "local",
            True,
            f"re-ranked among the nearest {LOCAL} only: of {missing} candidates the neighbours have not been noted "
            "yet; `vantage gallery refresh` does that",
            stale=missing,
        )

    def _lowest(self, target: Target, search: Search) -> float | None:
        """The similarity of the item that is farthest from the probe, where every vector is read to find it."""
        if not schema.is_exact(self._entry.settings, search.exact):
            return None
        parameters = schema.search_parameters(self._entry.settings, 1, search.exact)
        for _ in range(ATTEMPTS):
            farthest = self._with_vectors(
                self._server.search(
                    self._entry.collection, -target.vector, "", ("id", "key"), parameters, self._entry.seen, 1
                )
            )
            if farthest:
                return float(vectors(farthest)[0] @ target.vector)
        return None

    def _nearest(
        self,
        target: Target,
        search: Search,
        expression: str,
        allowed: int | None,
        top: int,
        fields: Sequence[str] = DESCRIBING,
    ) -> tuple[Found, bool]:
        """The nearest that meet an expression, and whether there are no more than these."""
        entry = self._entry
        share = self._share(allowed)
        if self._are_few(search, allowed) and not schema.is_exact(entry.settings, search.exact, share):
            everybody = list(scan_all(self._server, entry, expression, (*fields, "vector")))
            found = Found.of(everybody, target.vector)
            return found.take(range(min(top, len(found)))), len(found) <= top
        limit = min(top + 1, MOST_ROWS)
        parameters = schema.search_parameters(entry.settings, limit, search.exact, share)
        for _ in range(ATTEMPTS):
            rows = self._with_vectors(
                self._server.search(entry.collection, target.vector, expression, fields, parameters, entry.seen, limit)
            )
            if rows is not None:
                break
        else:
            raise UnavailableError(f"gallery {entry.name!r} is written to faster than it can be searched: ask again")
        found = Found.of(rows, target.vector)
        return found.take(range(min(top, len(found)))), len(found) <= top and len(found) < limit

    def _with_vectors(self, rows: Sequence[Entity]) -> list[Entity] | None:
        """The rows of a search with their vectors, which Milvus gives in a second look; None if an item was replaced
        or deleted between the two."""
        found = {entity["id"]: entity for entity in self._by_ids([row["id"] for row in rows], ("id", "key", "vector"))}
        there = [found.get(row["id"]) for row in rows]
        joined: list[Entity] = [
            {**row, "vector": entity["vector"]}
            for row, entity in zip(rows, there, strict=True)
            if entity is not None and entity["key"] == row["key"]
        ]
        return joined if len(joined) == len(rows) else None

    def _compared_all(self, search: Search, allowed: int | None) -> bool:
        exact = schema.is_exact(self._entry.settings, search.exact, self._share(allowed))
        return exact or self._are_few(search, allowed)

    def _are_few(self, search: Search, allowed: int | None) -> bool:
        """Whether those that may be found can be read one and all."""
        return allowed is not None and allowed <= (FEW_ON_DEMAND if search.exact else FEW)

    def _share(self, allowed: int | None) -> float:
        """Which share of the gallery's items may be found, at the least: of what was ever added."""
        return 1.0 if allowed is None else max(allowed, 1) / max(self._entry.next_key - 1, allowed, 1)

    # ---- choosing and telling ----------------------------------------------------------------------------------------

    def _chosen(self, found: Found, target: Target, search: Search) -> list[int]:
        """Places of the first `k` that are not to be avoided, with no group over its limit."""
        taken: dict[str, int] = {}
        kept: list[int] = []
        for place, entity in enumerate(found.entities):
            if entity["id"] in target.avoided:
                continue
            group = "" if search.group_by == "none" else entity[search.group_by]
            taken[group] = taken.get(group, 0) + 1
            if not group or taken[group] <= search.max_per_group:
                kept.append(place)
                if len(kept) == search.k:
                    break
        return kept

    def _hits(self, found: Found, target: Target, search: Search, done: _Done) -> tuple[Hit, ...]:
        explanations = self._explanations(found, done.graph) if search.explain else {}
        hits = []
        for place, entity in enumerate(found.entities):
            distance = float(found.distances[place])
            hits.append(
                Hit(
                    rank=place + 1,
                    item=item(entity, vector=search.include_vectors),
                    score=1 - distance / 2,
                    distance=distance,
                    reranked=None if found.reranked is None else float(found.reranked[place]),
                    confirmed=entity["id"] in target.confirmed,
                    explanation=explanations.get(int(entity["key"])),
                )
            )
        return tuple(hits)

    def _explanations(self, found: Found, graph: CandidateGraph | None) -> dict[int, Explanation]:
        if graph is None or not len(found):
            return {}
        supports = graph.explain(found.keys)
        names = {
            int(one["key"]): one["id"]
            for block in in_blocks(sorted({key for support in supports for key, _ in support.shared}), LABELS_AT_ONCE)
            for one in self._server.query(
                self._entry.collection, f"key in [{', '.join(map(str, block))}]", ("id", "key"), self._entry.seen
            )
        }
        return {
            support.key: Explanation(
                mutual=support.mutual,
                shared=tuple((names[key], weight) for key, weight in support.shared if key in names),
            )
            for support in supports
        }
