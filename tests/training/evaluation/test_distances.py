import numpy as np
import pytest

from retrieval import ReciprocalGraph, RerankSettings, k_reciprocal
from training.evaluation import RERANKS, DistanceRows, EvaluationError, distances

SETTINGS = RerankSettings(6, 3, 0.4)


@pytest.fixture
def sides():
    random = np.random.default_rng(3)
    centres = random.normal(size=(15, 1, 8))
    rows = (centres + 0.7 * random.normal(size=(15, 8, 8))).reshape(-1, 8)
    random.shuffle(rows)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return rows[:30], rows[30:]


def whole(query, gallery, rerank="off", **more):
    return np.concatenate(list(DistanceRows(query, gallery, rerank, SETTINGS, **more)))


@pytest.mark.parametrize("rerank", RERANKS)
def test_every_way_gives_the_same_in_small_blocks_and_twice(sides, rerank, monkeypatch):
    rows = DistanceRows(*sides, rerank, SETTINGS, 20)
    once = np.concatenate(list(rows))
    assert once.shape == (30, 90)
    assert once.dtype == np.float32
    monkeypatch.setattr(distances, "_VALUES", 90 * 7)
    monkeypatch.setattr(distances, "_RERANKED_ROWS", 7)
    blocks = list(rows)
    if rerank != "exact":  # whose blocks are retrieval's own
        assert [len(block) for block in blocks] == [7, 7, 7, 7, 2]
    np.testing.assert_allclose(np.concatenate(blocks), once, atol=1e-6)


def test_plain_blocks_hold_a_bounded_number_of_values_whatever_the_gallery():
    query, gallery = np.eye(4, dtype=np.float32)[[0, 1, 2] * 40], np.eye(4, dtype=np.float32)[[3] * 200_000]
    for block in DistanceRows(query, gallery):
        assert block.size <= 1 << 23


def test_plain_distances_are_squared_euclidean(sides):
    query, gallery = sides
    literal = [[float(np.square(a.astype(np.float64) - b).sum()) for b in gallery] for a in query]
    np.testing.assert_allclose(whole(query, gallery), literal, atol=1e-5)


def test_exact_pools_all_queries_as_retrieval_does(sides):
    np.testing.assert_array_equal(whole(*sides, "exact"), k_reciprocal(*sides, 6, 3, 0.4))


def test_online_ranks_each_query_as_the_prepared_gallery_does(sides):
    query, gallery = sides
    graph = ReciprocalGraph.build(gallery, settings=SETTINGS)
    rows = whole(query, gallery, "online")
    assert np.isfinite(rows).all()
    for probe, row in zip(query, rows, strict=True):
        top = graph.rank(probe[None], top=10)
        np.testing.assert_array_equal(np.argsort(row, kind="stable")[:10], top.ids[0])


def test_online_does_not_look_at_other_queries_and_exact_does(sides):
    query, gallery = sides
    for rerank, alike in (("online", True), ("exact", False)):
        alone = whole(query[:1], gallery, rerank)
        assert np.array_equal(whole(query, gallery, rerank)[:1], alone) is alike


@pytest.mark.parametrize("common", [0, 5])  # all vectors the same way: plain distances are then below re-ranked ones
def test_local_reranks_the_nearest_among_themselves_and_keeps_the_rest_behind_in_plain_order(sides, common):
    query, gallery = (np.asarray(rows + common, np.float32) for rows in sides)
    query, gallery = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (query, gallery))
    plain, rows = whole(query, gallery), whole(query, gallery, "local", local_top=25)
    for probe, near, row in zip(query, np.argsort(plain, axis=1, kind="stable"), rows, strict=True):
        order = np.argsort(row, kind="stable")
        assert set(order[:25]) == set(near[:25])
        np.testing.assert_array_equal(order[25:], near[25:])
        expected = k_reciprocal(probe[None], gallery[near[:25]], 6, 3, 0.4)[0]
        np.testing.assert_array_equal(order[:25], near[:25][np.lexsort((near[:25], expected))])


def test_local_with_the_whole_gallery_is_exact_reranking_of_one_query(sides):
    query, gallery = sides
    local, exact = (whole(query[:1], gallery, rerank, local_top=1000) for rerank in ("local", "exact"))
    np.testing.assert_array_equal(local.argsort(axis=1), exact.argsort(axis=1, kind="stable"))


def test_an_unknown_mode_or_an_empty_shortlist_is_a_sentence(sides):
    with pytest.raises(EvaluationError, match="rerank is 'of': choose one of off, exact, online, local"):
        DistanceRows(*sides, "of")
    with pytest.raises(EvaluationError, match="local_top is 0"):
        DistanceRows(*sides, "local", SETTINGS, 0)
