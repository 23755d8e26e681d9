import weakref

import numpy as np
import pytest

from retrieval import distance_blocks
from retrieval.distance_blocks import cosine_from_squared_distance, row_blocks
from retrieval.errors import RetrievalError
from retrieval.labels import Labels
from retrieval.metrics import ranking_metrics
from retrieval.open_set import open_set_metrics
from retrieval.score_histogram import ScoreHistogram


def test_every_row_comes_once_in_order_however_the_matrix_is_cut(monkeypatch):
    matrix = np.arange(70.0).reshape(10, 7)
    for values_at_once in (1, 7, 20, 1000):
        monkeypatch.setattr(distance_blocks, "VALUES_AT_ONCE", values_at_once)
        for distances in (matrix, [matrix[:3], matrix[3:3], matrix[3:]], (row[None] for row in matrix)):
            seen = list(row_blocks(distances, 10, 7))
            np.testing.assert_array_equal(np.concatenate([block for _, block in seen]), matrix)
            assert [start for start, _ in seen] == np.cumsum([0] + [len(block) for _, block in seen])[:-1].tolist()
            assert all(block.size <= max(values_at_once, 7) for _, block in seen)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_distance_that_is_not_finite_is_named_by_its_place(bad):
    matrix = np.ones((4, 3), np.float16)
    matrix[3, 1] = bad
    with pytest.raises(RetrievalError, match=f"distance of query 3 to gallery item 1 is {bad}"):
        list(row_blocks([matrix[:2], matrix[2:]], 4, 3))


def test_shapes_that_do_not_fit_the_labels_are_refused():
    with pytest.raises(RetrievalError, match=r"distances has shape \(2, 3\), but the gallery has 4 labels"):
        list(row_blocks(np.ones((2, 3)), 2, 4))
    with pytest.raises(RetrievalError, match=r"a block of distances has shape \(3,\)"):
        list(row_blocks([np.ones(3)], 1, 3))
    with pytest.raises(RetrievalError, match="have 2 rows, but there are 3 queries"):
        list(row_blocks(np.ones((2, 3)), 3, 3))
    with pytest.raises(RetrievalError, match="at least 4 rows, but there are 3 queries"):
        list(row_blocks([np.ones((2, 3)), np.ones((2, 3))], 3, 3))
    with pytest.raises(RetrievalError, match="dtype int64"):
        list(row_blocks(np.ones((2, 3), np.int64), 2, 3))


def test_cosine_is_one_minus_half_the_squared_distance():
    rng = np.random.default_rng(0)
    a, b = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 16)))
    assert cosine_from_squared_distance(np.array([((a - b) ** 2).sum()]))[0] == pytest.approx(a @ b, abs=1e-12)


@pytest.mark.parametrize("consume", [ranking_metrics, ScoreHistogram.of_pairs, open_set_metrics])
def test_blocks_are_let_go_once_they_are_read(consume):
    query = Labels(np.array([1, 2] * 10), np.ones(20, np.int64))
    gallery = Labels(np.array([1, 3, 4]), np.full(3, 2))
    made = []

    def blocks():
        for _ in range(10):
            alive = sum(block() is not None for block in made)
            assert alive <= 1, f"{alive} earlier blocks are still held"
            block = np.random.default_rng(len(made)).random((2, 3))
            made.append(weakref.ref(block))
            yield block
            del block

    consume(blocks(), query, gallery)
    assert len(made) == 10
