"""One probe's encoding, made from what its neighbours already know of themselves.

The gallery's lists, radii and encodings were built without the probe, and nothing of the gallery is searched again:
item g has the probe among its k nearest exactly when it is at least as near as g's k-th neighbour (its radius). What
the probe would change in others' lists, were it an item itself, is left out; `ReciprocalGraph` says what that costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.rerank.encoding import relative_distance
from retrieval.rerank.inverted import sum_by_item
from retrieval.rerank.settings import RerankSettings
from retrieval.rerank.sparse_rows import SparseRows
from retrieval.similarity import pair_similarities
from retrieval.vectors import squared_distance


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What the items know of one another; row i speaks of item i.

    vectors       float32 (N, D), unit length.
    indices       int32 (N, reach): nearest other items, nearest first, -1 where there are no more.
    similarities  float32 (N, reach): theirs; -inf where there are no more.
    mutual_half   bool (N, h): which of the h nearest are reciprocal within h.
    encodings     V of every item.
    """

    vectors: npt.NDArray[np.float32]
    indices: npt.NDArray[np.int32]
    similarities: npt.NDArray[np.float32]
    mutual_half: npt.NDArray[np.bool_]
    encodings: SparseRows


@dataclass(frozen=True, slots=True, eq=False)
class ProbeEncoding:
    """V' of one probe over the items, and how it came about.

    columns, weights  int32 and float32 (m,): the non-zeros over items, ascending; the rest of the weight, up to 1, is
                      the probe's own.
    mutual            int32 (r,): the items that are k1-reciprocal neighbours of the probe, nearest first.
    """

    columns: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    mutual: npt.NDArray[np.int32]


def encode_probe(
    probe: npt.NDArray[np.float32],
    near: npt.NDArray[np.int32],
    similarities: npt.NDArray[np.float32],
    lowest: np.float32,
    around: Surroundings,
    settings: RerankSettings,
) -> ProbeEncoding:
    """V' of a probe.

    probe         float32 (D,), unit length.
    near          int32 (n,): its nearest items, nearest first, `settings.reach` of them or more.
    similarities  float32 (n,): theirs.
    lowest        the similarity of the item farthest from it.
    """
    k1, half = settings.k1, settings.half
    closest, how_close = near[:k1], similarities[:k1]
    mutual = closest[how_close >= around.similarities[closest, k1 - 1]]
    members = _distinct(np.concatenate((mutual, _expansion(mutual, closest[:half], how_close[:half], around, half))))
    likeness = pair_similarities(probe[None], np.zeros(len(members), np.int64), around.vectors, members)
    weights = np.exp(-relative_distance(squared_distance(likeness), lowest))
    weights /= 1.0 + weights.sum()  # 1: the probe itself, at no distance
    columns, shares, counts = around.encodings.pairs(near[: settings.k2 - 1])
    return ProbeEncoding(*_mean(members, weights, columns, shares, 1 + len(counts)), mutual)


def _expansion(
    mutual: npt.NDArray[np.int32],
    closest: npt.NDArray[np.int32],
    how_close: npt.NDArray[np.float32],
    around: Surroundings,
    half: int,
) -> npt.NDArray[np.int32]:
    """The members of every R(c,h), c in R(probe,k1), that shares more than two thirds of itself with R(probe,k1)."""
    inner = around.mutual_half[mutual, :half]
    theirs = around.indices[mutual, :half]
    shared = inner & (theirs[:, :, None] == mutual).any(axis=2)
    # c itself is in both sets; so is the probe, where c and it are reciprocal within h.
    near = closest[how_close >= around.similarities[closest, half - 1]] if half else closest
    both = 1 + (mutual[:, None] == near).any(axis=1)
    enough = 3 * (shared.sum(axis=1) + both) > 2 * (inner.sum(axis=1) + both)
    return np.asarray(theirs[enough][inner[enough]])


def _distinct(items: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """`np.unique` for a handful, at a fraction of its price."""
    items = np.sort(items)
    return items[np.concatenate(([True], items[1:] != items[:-1]))] if len(items) else items


def _mean(
    members: npt.NDArray[np.int32],
    weights: npt.NDArray[np.float32],
    columns: npt.NDArray[np.int32],
    shares: npt.NDArray[np.float32],
    count: int,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The mean over `count` encodings of the probe's own and its nearest items', by column."""
    return sum_by_item(np.concatenate((members, columns)), np.concatenate((weights, shares)) / np.float32(count))
