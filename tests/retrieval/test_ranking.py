import numpy as np
import pytest

from retrieval.errors import RetrievalError
from retrieval.ranking import NOBODY, Ranking


def test_a_ranking_cannot_be_changed_but_the_callers_arrays_can():
    ids = np.array([[3, 1]])
    ranking = Ranking(ids, np.array([[0.1, 0.2]]))
    with pytest.raises(ValueError, match="read-only"):
        ranking.ids[0, 0] = 9
    with pytest.raises(ValueError, match="read-only"):
        ranking.distances[0, 0] = 9
    ids[0, 0] = 3


def test_counts_leave_out_the_places_where_there_is_no_result():
    ranking = Ranking(np.array([[3, 1], [2, NOBODY]]), np.array([[0.1, 0.2], [0.3, np.inf]]))
    assert ranking.counts.tolist() == [2, 1]
    assert len(ranking) == 2


def test_a_reranked_row_is_ordered_by_its_reranked_distance():
    ranking = Ranking(np.array([[3, 1]]), np.array([[0.5, 0.2]]), np.array([[0.1, 0.4]]))
    assert ranking.order is ranking.reranked


@pytest.mark.parametrize(
    ("ids", "distances", "reranked", "sentence"),
    [
        ([1, 2], [0.1, 0.2], None, "one row a query"),
        ([[1, 2]], [[0.1]], None, "distances has shape"),
        ([[1, 2]], [[0.1, 0.2]], [[0.1]], "reranked has shape"),
        ([[1, 2]], [[0.2, 0.1]], None, "not in ascending order"),
        ([[1, 2]], [[0.1, 0.2]], [[0.2, 0.1]], "not in ascending order"),
        ([[1, 1]], [[0.1, 0.2]], None, "same id twice"),
        ([[1, 2]], [[0.1, np.nan]], None, "NaN"),
        ([[1, NOBODY]], [[0.1, 0.2]], None, "must be inf"),
    ],
)
def test_what_is_not_a_ranking_is_refused(ids, distances, reranked, sentence):
    with pytest.raises(RetrievalError, match=sentence):
        Ranking(np.array(ids), np.array(distances), None if reranked is None else np.array(reranked))
