"""One probe against the items of a graph at one moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError
from retrieval.exact_search import Neighbours, Vectors
from retrieval.keyed_rows import Slots
from retrieval.keys import Keys, contains
from retrieval.ranking import NOBODY, Ranking
from retrieval.rerank.encoding import relative_distance
from retrieval.rerank.inverted import jaccard_distance, sum_by_item
from retrieval.rerank.items import Items
from retrieval.rerank.named import named_items
from retrieval.rerank.probe import ProbeEncoding, Surroundings, encode_probe
from retrieval.rerank.settings import RerankSettings
from retrieval.similarity import pair_similarities
from retrieval.vectors import squared_distance


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


def rank(
    items: Items,
    rows: Vectors,
    top: int,
    found: Ranking | None,
    allowed: npt.ArrayLike | None,
    candidates: Ranking | None,
    sure: bool,
) -> Ranking:
    """`ReciprocalGraph.rank` for checked probes."""
    for ranking in (found, candidates):
        if ranking is not None and len(ranking) != len(rows):
            raise RetrievalError(f"{len(rows)} probes came with a ranking of {len(ranking)} queries: give one row each")
    settings, slots = items.settings, items.permitted(allowed)
    if found is None:
        near = items.nearest(rows, max(settings.reach, top))
    else:
        near = named_items(items, rows, found, settings.k1)
    if slots is None:
        pool = near
    elif candidates is None:
        pool = items.nearest_allowed(rows, top, slots)
    else:
        pool = named_items(items, rows, candidates, settings.k1)
    exact_pool = sure or (candidates is None if allowed is not None else found is None)
    ranked = [_rank_one(items, rows[n], near, pool, n, slots, top, exact_pool) for n in range(len(rows))]
    width = max((len(ids) for ids, _, _ in ranked), default=0)
    ids = np.full((len(rows), width), NOBODY, np.int64)
    distances, reranked = np.full((2, len(rows), width), np.inf, np.float32)
    for n, (mine, plain, final) in enumerate(ranked):
        ids[n, : len(mine)], distances[n, : len(mine)], reranked[n, : len(mine)] = mine, plain, final
    return Ranking(ids, distances, reranked)


def explain(items: Items, rows: Vectors, keys: npt.ArrayLike) -> tuple[Support, ...]:
    """`ReciprocalGraph.explain` for one checked probe, float32 (1, D)."""
    slots = items.slots_of(keys)
    near = items.nearest(rows, items.settings.reach)
    encoding = _encode_probe(items, rows[0], near, 0)
    met, shared, places = items.segments.meet(encoding.columns, encoding.weights)
    out = []
    for slot in slots:
        here = np.flatnonzero(met == slot)
        heaviest = here[np.lexsort((places[here], -shared[here]))]
        total = np.asarray([shared[here].sum()], np.float32)
        likeness = pair_similarities(rows, np.zeros(1, np.int64), items.vectors, np.asarray([slot]))
        plain, final = _distances(items.settings, likeness, total, near.lowest[0])
        leaned = zip(items.keys[encoding.columns[places[heaviest]]], shared[heaviest], strict=True)
        out.append(
            Support(
                key=int(items.keys[slot]),
                distance=float(plain[0]),
                reranked=float(final[0]),
                mutual=bool((encoding.mutual == slot).any()),
                shared=tuple((int(key), float(weight)) for key, weight in leaned),
            )
        )
    return tuple(out)


def _rank_one(
    items: Items,
    probe: npt.NDArray[np.float32],
    near: Neighbours,
    pool: Neighbours,
    n: int,
    allowed: Slots | None,
    top: int,
    exact_pool: bool,
) -> tuple[Keys, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    encoding = _encode_probe(items, probe, near, n)
    met, shared, _ = items.segments.meet(encoding.columns, encoding.weights)
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
    plain, final = _distances(items.settings, likeness, overlap, near.lowest[n])
    rest = np.ones(len(met), np.bool_)
    rest[at[known]] = False
    if exact_pool and len(nearest) >= top:
        _, least = _distances(items.settings, likeness[-1:], total, near.lowest[n])
        rest &= least <= np.partition(final, top - 1)[top - 1]
    farther = met[rest]
    likeness = pair_similarities(probe[None], np.zeros(len(farther), np.int64), items.vectors, farther)
    plain_rest, final_rest = _distances(items.settings, likeness, total[rest], near.lowest[n])
    slots, plain, final = (
        np.concatenate(both) for both in ((nearest, farther), (plain, plain_rest), (final, final_rest))
    )
    best = np.lexsort((slots, final))[:top]
    return items.keys[slots[best]], plain[best], final[best]


def _encode_probe(items: Items, probe: npt.NDArray[np.float32], near: Neighbours, n: int) -> ProbeEncoding:
    around = Surroundings(items.vectors, items.indices, items.similarities, items.mutual_half, items.encodings)
    found = near.indices[n] >= 0
    encoding = encode_probe(
        probe, near.indices[n][found], near.similarities[n][found], near.lowest[n], around, items.settings
    )
    if items.dead is None:
        return encoding
    there = items.alive[encoding.columns]  # encodings not made anew yet may still lean on removed items
    return ProbeEncoding(encoding.columns[there], encoding.weights[there], encoding.mutual)


def _distances(
    settings: RerankSettings, similarity: npt.NDArray[np.float32], shared: npt.NDArray[np.float32], lowest: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The plain and the re-ranked distance of one probe to items with which it shares S."""
    lam = np.float32(settings.lam)
    plain = squared_distance(similarity)
    return plain, (1 - lam) * jaccard_distance(shared) + lam * relative_distance(plain, np.float32(lowest))
