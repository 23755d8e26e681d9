"""Literal transcriptions, step by step with loops, sets and whole N x N arrays: what the fast code is held against."""

from pathlib import Path

import numpy as np
import pytest

from retrieval.similarity import pair_similarities

REFERENCE = Path(__file__).parents[4] / "shared" / "data" / "rerank_reference.npz"


class Literal:
    """The authors' algorithm over one set of items. Ties: an item is first in its own row, then by index."""

    def __init__(self, vectors, k1, k2):
        self.vectors, self.k1, self.k2, self.half = vectors, k1, k2, int(np.around(k1 / 2))
        self.size = size = len(vectors)
        left, right = np.divmod(np.arange(size * size), size)
        self.similarity = pair_similarities(vectors, left, vectors, right).reshape(size, size).astype(np.float64)
        distance = np.maximum(2 - 2 * self.similarity, 0)
        np.fill_diagonal(distance, 0)
        self.distance = np.array([row / row.max() if row.max() > 1e-5 else 0 * row for row in distance])
        self.rank = [sorted(range(size), key=lambda j, i=i: (j != i, -self.similarity[i, j], j)) for i in range(size)]
        self.encoding = np.zeros((size, size))
        for i in range(size):
            members = sorted(self.expanded(self.reciprocal(i, k1)))
            weights = np.exp(-self.distance[i, members])
            self.encoding[i, members] = weights / weights.sum()
        self.averaged = np.array([self.encoding[self.rank[i][:k2]].mean(axis=0) for i in range(size)])

    def reciprocal(self, i, k):
        return {j for j in self.rank[i][: k + 1] if i in self.rank[j][: k + 1]}

    def expanded(self, first):
        out = set(first)
        for candidate in first:
            theirs = self.reciprocal(candidate, self.half)
            if len(theirs & first) > 2 / 3 * len(theirs):
                out |= theirs
        return out

    def rank_probe(self, probe, lam):
        """The distances to one probe that is no item: what `ReciprocalGraph` promises, float64 (N,)."""
        similarity = pair_similarities(probe[None], np.zeros(self.size, int), self.vectors, np.arange(self.size))
        largest = 2 - 2 * float(similarity.min())
        distance = np.maximum(2 - 2 * similarity.astype(np.float64), 0)
        distance = distance / largest if largest > 1e-5 else 0 * distance
        order = sorted(range(self.size), key=lambda j: (-similarity[j], j))

        def nears_probe(item, k):
            others = self.rank[item][1:]
            return len(others) < k or similarity[item] >= self.similarity[item, others[k - 1]]

        first = {j for j in order[: self.k1] if nears_probe(j, self.k1)}
        members = set(first)
        for candidate in first:
            theirs = self.reciprocal(candidate, self.half)
            probe_in_both = candidate in order[: self.half] and nears_probe(candidate, self.half)
            if len(theirs & first) + probe_in_both > 2 / 3 * (len(theirs) + probe_in_both):
                members |= theirs
        own = np.zeros(self.size)
        for j in members:
            own[j] = np.exp(-distance[j])
        own /= 1 + own.sum()
        mine = np.mean([own] + [self.encoding[j] for j in order[: self.k2 - 1]], axis=0)
        shared = np.array([np.minimum(mine, self.averaged[g]).sum() for g in range(self.size)])
        return (1 - lam) * (1 - shared / (2 - shared)) + lam * distance


def literal_k_reciprocal(query, gallery, k1=20, k2=6, lam=0.3):
    """d* of every query to every gallery item, all pooled: float64 (Q, G)."""
    pool = Literal(np.concatenate((query, gallery)).astype(np.float32), k1, k2)
    out = np.zeros((len(query), len(gallery)))
    for q in range(len(query)):
        for g in range(len(gallery)):
            shared = np.minimum(pool.averaged[q], pool.averaged[len(query) + g]).sum()
            out[q, g] = (1 - lam) * (1 - shared / (2 - shared)) + lam * pool.distance[q, len(query) + g]
    return out


@pytest.fixture(scope="session")
def literal():
    return literal_k_reciprocal


@pytest.fixture(scope="session")
def literal_online():
    return lambda gallery, k1, k2: Literal(gallery, k1, k2)


@pytest.fixture(scope="session")
def reference():
    """Real features, and what the authors' own code makes of them."""
    if not REFERENCE.exists():
        pytest.skip("the authors' result on real features is not on this machine; the literal transcription stands in")
    with np.load(REFERENCE) as file:
        return {name: file[name] for name in file.files}
