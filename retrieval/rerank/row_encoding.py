"""A probe's encoding from the rows of its nearest items: `encode_probe`, with what it looks at laid out from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from retrieval.keys import Keys
from retrieval.rerank.inverted import sum_by_item
from retrieval.rerank.probe import Surroundings, encode_probe
from retrieval.rerank.rows import GraphRows, spans, starts_of
from retrieval.rerank.settings import RerankSettings
from retrieval.rerank.sparse_rows import SparseRows

# A database's similarity of two vectors and ours differ by less. Where a probe has a copy in the gallery, its
# similarity to an item is often that item's very radius, and must not fall short of it by rounding.
TIE = np.float32(1e-6)
ITSELF = np.ones(1, np.float32)
NO_ENCODINGS = SparseRows.of(sparse.csr_array(np.zeros((0, 0), np.float32)))


@dataclass(frozen=True, slots=True, eq=False)
class LoneEncoding:
    """V of a probe, before averaging, by key.

    columns, weights  int64 and float32 (m,): the non-zeros over items; the rest of the weight, up to 1, is its own.
    mutual            int64 (r,): the items that are k1-reciprocal neighbours of the probe, nearest first.
    unseen            how many of the columns are no candidates, so that their similarity to the probe is not known.
    """

    columns: Keys
    weights: npt.NDArray[np.float32]
    mutual: Keys
    unseen: int


@dataclass(frozen=True, slots=True, eq=False)
class Circles:
    """What the rows of candidates say of who is whose neighbour, numbered as `encode_probe` wants it.

    names    int64 (m,): the candidates' keys, and behind them those of others in their R(c,h).
    count    how many of them are candidates.
    theirs   int32 (r, h): R(c,h) of each row, as places in `names`, -1 beside it.
    members  bool (r, h): where `theirs` holds one.
    radii    float32 (r, k1): the radius within k1 in the last column and the one within h in column h-1.
    """

    names: Keys
    count: int
    theirs: npt.NDArray[np.int32]
    members: npt.NDArray[np.bool_]
    radii: npt.NDArray[np.float32]
    settings: RerankSettings

    @classmethod
    def of(cls, keys: Keys, rows: GraphRows, settings: RerankSettings) -> Self:
        """keys int64 (n,): the candidates; rows: those of the first of them that may be asked about, or of all."""
        inner, half = rows.counts[:, 0], settings.half
        slots, others = _numbered(rows.columns[spans(starts_of(rows.counts[:, 2]), inner)], keys)
        members = np.arange(half) < inner[:, None]
        theirs = np.full(members.shape, -1, np.int32)
        theirs[members] = slots
        radii = np.full((len(rows), settings.k1), -np.inf, np.float32)
        radii[:, -1] = rows.radius - TIE
        if half:
            radii[:, half - 1] = rows.inner_radius - TIE
        return cls(np.concatenate((keys, others)), len(keys), theirs, members, radii, settings)

    def encode(
        self,
        similarities: npt.NDArray[np.float32],
        near: npt.NDArray[np.integer],
        beyond: np.float32,
        lowest: np.float32,
        itself: int = -1,
    ) -> LoneEncoding:
        """V of a probe.

        similarities  float32 (count,): of all candidates with it.
        near          int (n,): the candidates nearest to it, nearest first, as many as `settings.reach` or all.
        beyond        the similarity that is taken for that of an item that is no candidate.
        lowest        the similarity of the item farthest from it.
        itself        which of the candidates it is, if it is one.
        """
        known = np.full((len(self.names), 1), beyond, np.float32)
        known[: self.count, 0] = similarities
        # Of vectors, only their similarities to the probe are looked at: those are their inner products with 1.
        around = Surroundings(known, self.theirs, self.radii, self.members & (self.theirs != itself), NO_ENCODINGS)
        alone = replace(self.settings, k2=1)
        found = encode_probe(ITSELF, near.astype(np.int32), similarities[near], lowest, around, alone)
        unseen = int(np.count_nonzero(found.columns >= self.count))
        return LoneEncoding(self.names[found.columns], found.weights, self.names[found.mutual], unseen)


def averaged(
    columns: Keys, weights: npt.NDArray[np.float32], nearest: GraphRows
) -> tuple[Keys, npt.NDArray[np.float32]]:
    """V' of a probe, by key, ascending: the mean of its V and those of `nearest`, the rows of its k2-1 nearest."""
    own = spans(starts_of(nearest.counts[:, 2]), nearest.counts[:, 1])
    every = np.concatenate((weights, nearest.own_weights)) / np.float32(1 + len(nearest))
    return sum_by_item(np.concatenate((columns, nearest.columns[own])), every)


def _numbered(named: Keys, keys: Keys) -> tuple[npt.NDArray[np.int32], Keys]:
    """The place in `keys` of each key named; those that are not in it are numbered from its end on, and returned."""
    order = np.argsort(keys)
    at = np.minimum(np.searchsorted(keys, named, sorter=order), len(keys) - 1)
    slots = order[at].astype(np.int32)
    strange = keys[slots] != named
    others, place = np.unique(named[strange], return_inverse=True)
    slots[strange] = len(keys) + place
    return slots, others
