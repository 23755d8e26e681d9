import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.neighbours import nearest
from retrieval.rerank import RerankSettings
from retrieval.rerank.row_blocks import Lists, rows_of
from retrieval.rerank.rows import GraphRows
from retrieval.rerank.unencoded import encoded_here


class Literal:
    """Candidates some of which have no row, encoded with loops and sets; an item is called by its key."""

    def __init__(self, keys, vectors, rows, rerank):
        self.k1, self.half = rerank.k1, rerank.half
        self.keys, self.near, self.known = keys.tolist(), {}, {}
        likeness = (vectors @ vectors.T).tolist()
        self.like = {i: dict(zip(self.keys, row, strict=True)) for i, row in zip(self.keys, likeness, strict=True)}
        for n, key in enumerate(self.keys):
            others = [j for j in self.keys if j != key]
            self.near[key] = sorted(others, key=lambda j, n=key: (-self.like[n][j], self.keys.index(j)))[: rerank.reach]
            if rows.present[n]:
                self.known[key] = told(rows, n)
        missing = [key for key in self.keys if key not in self.known]
        lowest = [row["lowest"] for row in self.known.values()]
        for key in missing:
            like = [self.like[key][j] for j in self.near[key]]
            self.known[key] = {
                "radius": like[self.k1 - 1] if len(like) >= self.k1 else -np.inf,
                "inner_radius": like[self.half - 1] if 0 < self.half <= len(like) else -np.inf,
                "lowest": np.mean(lowest) if lowest else min(self.like[key].values()),
            }
        for key in missing:
            self.known[key]["inner"] = {j for j in self.near[key][: self.half] if self.nears(j, key, "inner_radius")}
        for key in missing:
            self.known[key]["alone"] = self.encode(key)
        for key in missing:
            every = [self.known[j]["alone"] for j in [key, *self.near[key][: rerank.k2 - 1]]]
            columns = {j for one in every for j in one}
            self.known[key]["both"] = {j: sum(one.get(j, 0) for one in every) / len(every) for j in columns}

    def nears(self, item, other, radius):
        return self.like[item][other] >= self.known[item][radius] - 1e-6

    def encode(self, key):
        first = {j for j in self.near[key][: self.k1] if self.nears(j, key, "radius")}
        members = set(first)
        for c in first:
            theirs = self.known[c]["inner"] - {key}
            in_both = 1 + (c in self.near[key][: self.half] and self.nears(c, key, "inner_radius"))
            if 3 * (len(theirs & first) + in_both) > 2 * (len(theirs) + in_both):
                members |= theirs
        largest = 2 - 2 * self.known[key]["lowest"]
        beyond = self.like[key][self.near[key][-1]] if self.near[key] else 1
        away = {
            j: min(max(2 - 2 * self.like[key].get(j, beyond), 0) / largest, 1) if largest > 1e-5 else 0 for j in members
        }
        weights = {key: 1.0} | {j: np.exp(-distance) for j, distance in away.items()}
        return {j: weight / sum(weights.values()) for j, weight in weights.items()}


def told(rows, n):
    one = rows.take(np.array([n]))
    [[inner, own, _]] = one.counts
    columns = one.columns.tolist()
    return {
        "radius": float(one.radius[0]),
        "inner_radius": float(one.inner_radius[0]),
        "lowest": float(one.lowest[0]),
        "inner": set(columns[:inner]),
        "alone": dict(zip(columns[:own], one.own_weights.tolist(), strict=True)),
        "both": dict(zip(columns, one.weights.tolist(), strict=True)),
    }


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.integers(1, 10),
    st.integers(1, 6),
    st.sampled_from([0.1, 0.5, 1.0]),
)
@settings(deadline=None, max_examples=100)
def test_whoever_has_no_row_gets_the_one_that_loops_over_the_candidates_give_it(people, seed, size, k1, k2, missing):
    rng, rerank = np.random.default_rng(seed), RerankSettings(k1, k2)
    vectors, keys = people(2 * size, of=4, dimensions=6, seed=seed), 3 * np.arange(2 * size)
    near = nearest(vectors, vectors, rerank.reach, exclude_self=True)
    lists = Lists(keys, vectors, near.indices, near.similarities, near.farthest, near.lowest)
    some = rng.permutation(2 * size)[:size]  # half of the gallery, so that rows name others too
    rows = rows_of(some, lists, rerank)
    packed = [None if rng.random() < missing else row for row in rows.packed(rerank)]
    rows = GraphRows.read(packed, rerank)
    if rows.missing == 0:
        return
    ours, theirs = (
        encoded_here(keys[some], vectors[some], rows, rerank),
        Literal(keys[some], vectors[some], rows, rerank),
    )
    assert ours.missing == 0
    for n, key in enumerate(keys[some].tolist()):
        mine, by_hand = told(ours, n), theirs.known[key]
        assert mine["inner"] == by_hand["inner"]
        for name in ("alone", "both", "radius", "inner_radius", "lowest"):
            assert mine[name] == pytest.approx(by_hand[name], abs=2e-6), name
