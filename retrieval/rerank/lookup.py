"""Which items are near a probe: found exactly here, or named by an index and then weighed exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrieval.exact_search import Neighbours, search_rows
from retrieval.ranking import Ranking
from retrieval.rerank.items import Items
from retrieval.rerank.keys import Keys, contains
from retrieval.similarity import pair_similarities

Slots = npt.NDArray[np.int32]
Vectors = npt.NDArray[np.float32]
FEW = 1 / 8  # allowed items below this share of the gallery are copied and searched alone


def slots_of(items: Items, keys: Keys) -> Slots:
    """The slots, ascending, of those of the ascending keys that are there."""
    at = np.searchsorted(items.keys, keys)
    at = at[at < len(items)]
    return at[contains(keys, items.keys[at]) & items.alive[at]].astype(np.int32)


def nearest_allowed(items: Items, probes: Vectors, k: int, allowed: Slots) -> Neighbours:
    """The k nearest of the items at the given slots, which ascend."""
    if len(allowed) >= FEW * len(items):
        forbidden = np.ones(len(items), np.bool_)
        forbidden[allowed] = False
        return search_rows(probes, items.vectors, k, dead=np.flatnonzero(forbidden))
    if len(allowed) == 0:
        blank, nothing = np.empty((len(probes), 0), np.int32), np.full(len(probes), -1, np.int32)
        return Neighbours(blank, blank.astype(np.float32), nothing, nothing.astype(np.float32))
    near = search_rows(probes, items.vectors[allowed], k)
    slots = np.where(near.indices >= 0, allowed[near.indices], -1).astype(np.int32)
    return Neighbours(slots, near.similarities, allowed[near.farthest], near.lowest)


def named_items(items: Items, probes: Vectors, ranking: Ranking, k1: int) -> Neighbours:
    """The items that an index named for each probe, as far as they are still there, nearest first by exact similarity.

    An index does not say which item is farthest from a probe. It is sought among those farthest from the probe's k1
    nearest, since what is far from them is about as far from it.
    """
    slots = np.minimum(np.searchsorted(items.keys, ranking.ids), len(items) - 1)
    there = (items.keys[slots] == ranking.ids) & items.alive[slots]
    similarities = np.full(slots.shape, -np.inf, np.float32)
    similarities[there] = pair_similarities(probes, np.nonzero(there)[0], items.vectors, slots[there])
    order = np.lexsort((slots, -similarities), axis=1)
    slots = np.take_along_axis(np.where(there, slots, -1), order, 1).astype(np.int32)
    similarities = np.take_along_axis(similarities, order, 1)
    farthest, lowest = _farthest(items, probes, slots[:, :k1])
    return Neighbours(slots, similarities, farthest, lowest)


def _farthest(items: Items, probes: Vectors, near: Slots) -> tuple[Slots, Vectors]:
    far = np.where(near >= 0, items.farthest[near], -1)
    usable = (far >= 0) & items.alive[far]
    how_far = np.full(far.shape, 1.0, np.float32)
    how_far[usable] = pair_similarities(probes, np.nonzero(usable)[0], items.vectors, far[usable])
    if far.shape[1] == 0:
        return np.full(len(probes), -1, np.int32), np.ones(len(probes), np.float32)
    best = how_far.argmin(axis=1)
    rows = np.arange(len(probes))
    return far[rows, best].astype(np.int32), how_far[rows, best]
