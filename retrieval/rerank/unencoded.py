"""Rows for candidates that have none yet, from the other candidates alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from retrieval.keys import Keys
from retrieval.rerank.inverted import sum_by_item
from retrieval.rerank.row_encoding import TIE, Circles, averaged
from retrieval.rerank.row_making import as_rows
from retrieval.rerank.rows import GraphRows
from retrieval.rerank.settings import RerankSettings

Floats = npt.NDArray[np.float32]
Encoding = tuple[Keys, Floats]


def encoded_here(keys: Keys, vectors: Floats, rows: GraphRows, settings: RerankSettings) -> GraphRows:
    """`rows` with none missing: who has none is encoded like a probe whose gallery are the others, and itself.

    Its farthest item is taken to be as far as those of the others are on average; where no candidate has a row, the
    candidates are all the gallery there is. Rows that are there stay as they are.
    """
    who = np.flatnonzero(~rows.present)
    likeness = vectors[who] @ vectors.T
    known = rows.lowest[rows.present]
    lowest = np.full(len(who), known.mean(), np.float32) if len(known) else likeness.min(axis=1)
    likeness[np.arange(len(who)), who] = -np.inf
    near = np.argsort(-likeness, axis=1, kind="stable")[:, : min(settings.reach, len(rows) - 1)]
    how_near = np.take_along_axis(likeness, near, axis=1)
    radius, inner_radius = _kth(how_near, settings.k1), _kth(how_near, settings.half)
    place = np.arange(len(rows))
    place[who] = len(rows) + np.arange(len(who))

    def filled(inner: list[Keys], alone: list[Encoding], both: list[Encoding]) -> GraphRows:
        return rows.followed_by(_as_rows((radius, inner_radius, lowest), inner, alone, both)).take(place)

    # First what others ask of an item: its circles, and who is reciprocal with it in the smaller one. Then V, then V'.
    theirs = rows.inner_radius.copy()
    theirs[who] = inner_radius
    half = settings.half
    mutual = how_near[:, :half] >= theirs[near[:, :half]] - TIE
    inner = [np.sort(keys[mine[chosen]]) for mine, chosen in zip(near[:, :half], mutual, strict=True)]
    bare = [(members, np.zeros(len(members), np.float32)) for members in inner]
    circles = Circles.of(keys, filled(inner, bare, bare), settings)
    alone = []
    for n, item in enumerate(who):
        found = circles.encode(likeness[n], near[n], how_near[n].min(initial=1), lowest[n], itself=int(item))
        own = (keys[item : item + 1], 1 - found.weights.sum(keepdims=True))
        alone.append(_sum((found.columns, found.weights), own))
    encoded = filled(inner, alone, alone)
    both = [averaged(*alone[n], encoded.take(near[n, : settings.k2 - 1])) for n in range(len(who))]
    return filled(inner, alone, both)


def _kth(how_near: Floats, k: int) -> Floats:
    """The similarity of the k-th nearest; -inf where there are fewer, or none is asked for."""
    return how_near[:, k - 1] if 0 < k <= how_near.shape[1] else np.full(len(how_near), -np.inf, np.float32)


def _sum(one: Encoding, other: Encoding) -> Encoding:
    return sum_by_item(np.concatenate((one[0], other[0])), np.concatenate((one[1], other[1])))


def _as_rows(
    radii: tuple[Floats, Floats, Floats], inner: list[Keys], alone: list[Encoding], both: list[Encoding]
) -> GraphRows:
    names = np.unique(np.concatenate([columns for columns, _ in both]))
    who = np.repeat(np.arange(len(inner)), [len(members) for members in inner])
    members = np.searchsorted(names, np.concatenate(inner))
    return as_rows(radii, (who, members), _matrix(alone, names), _matrix(both, names), names)


def _matrix(encodings: list[Encoding], names: Keys) -> sparse.csr_array:
    columns = np.searchsorted(names, np.concatenate([keys for keys, _ in encodings]))
    weights = np.concatenate([weights for _, weights in encodings])
    ends = np.cumsum([0, *(len(keys) for keys, _ in encodings)])
    return sparse.csr_array((weights, columns, ends), shape=(len(encodings), len(names)))
