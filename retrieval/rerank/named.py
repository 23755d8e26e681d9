"""Which items are near a probe, as an index names them; weighed exactly here."""

from __future__ import annotations

import numpy as np

from retrieval.exact_search import Neighbours, Vectors
from retrieval.keyed_rows import Slots
from retrieval.ranking import Ranking
from retrieval.rerank.items import Items
from retrieval.similarity import pair_similarities


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
