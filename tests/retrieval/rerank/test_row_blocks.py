import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.neighbours import nearest
from retrieval.rerank import GraphRows, RerankSettings
from retrieval.rerank.row_blocks import Lists, rows_of
from retrieval.rerank.rows import FIELDS


def draw_crowd(rng, count):
    """Vectors in clusters, some of them twice."""
    centres = rng.standard_normal((4, 6))
    rows = centres[rng.integers(4, size=count)] + 0.7 * rng.standard_normal((count, 6))
    rows = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
    return rows[rng.integers(count, size=count)]


def lists_of_all(vectors, keys, reach):
    near = nearest(vectors, vectors, reach, exclude_self=True)
    return Lists(keys, vectors, near.indices, near.similarities, near.farthest, near.lowest)


def told(rows, n):
    """What one row says: R(i,h) without i, V and V' by key."""
    one = rows.take(np.array([n]))
    [[inner, own, every]] = one.counts
    assert len(one.columns) == len(set(one.columns.tolist())) == every
    columns = one.columns.tolist()
    alone = dict(zip(columns[:own], one.own_weights.tolist(), strict=True))
    return set(columns[:inner]), alone, dict(zip(columns, one.weights.tolist(), strict=True))


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 16), st.integers(1, 7))
@settings(deadline=None, max_examples=60)
def test_a_row_says_what_the_literal_transcription_makes_of_its_item(literal_online, seed, size, k1, k2):
    rng = np.random.default_rng(seed)
    vectors, rerank = draw_crowd(rng, size), RerankSettings(k1, k2)
    keys = np.sort(rng.choice(10**6, size, replace=False))
    rows = rows_of(np.arange(size), lists_of_all(vectors, keys, rerank.reach), rerank)
    rows = GraphRows.read(rows.packed(rerank), rerank)
    by_hand = literal_online(vectors, k1, k2)
    for i in range(size):
        inner, alone, averaged = told(rows, i)
        assert inner == {int(keys[j]) for j in by_hand.reciprocal(i, by_hand.half) - {i}}
        for ours, theirs in ((alone, by_hand.encoding[i]), (averaged, by_hand.averaged[i])):
            expected = {int(key): weight for key, weight in zip(keys, theirs, strict=True) if weight > 0}
            assert ours == pytest.approx(expected, abs=1e-6)
        for radius, k in ((rows.radius[i], k1), (rows.inner_radius[i], by_hand.half)):
            others = by_hand.rank[i][1:]
            assert radius == (by_hand.similarity[i, others[k - 1]] if 0 < k <= len(others) else -np.inf)
        assert abs(rows.lowest[i] - by_hand.similarity[i].min()) < 1e-6


def test_scattered_items_in_any_order_have_the_rows_that_they_have_among_all(people):
    rerank = RerankSettings(12, 4)
    lists = lists_of_all(people(300, of=20), 5 * np.arange(300), rerank.reach)
    whole = rows_of(np.arange(300), lists, rerank)
    some = np.random.default_rng(0).permutation(300)[:40]
    block = rows_of(some, lists, rerank)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(block, name), getattr(whole.take(some), name), err_msg=name)
