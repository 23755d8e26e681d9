import numpy as np
import pytest

from retrieval.errors import RetrievalError
from retrieval.rerank import ReciprocalGraph, RerankSettings, k_reciprocal, rank_local


def test_candidates_are_ranked_as_if_they_were_the_whole_gallery(people, literal):
    candidates, probe = people(60), people(1, seed=5)
    keys = np.arange(60)[::-1] + 100
    ranking = rank_local(probe[0], keys, candidates, top=60, settings=RerankSettings(12, 4, 0.2))
    expected = literal(probe, candidates, 12, 4, 0.2)[0]
    for key, distance, plain in zip(ranking.ids[0], ranking.reranked[0], ranking.distances[0], strict=True):
        row = 159 - key
        assert distance == pytest.approx(expected[row], abs=2e-6)
        assert plain == pytest.approx(2 - 2 * float(candidates[row] @ probe[0]), abs=1e-6)


def test_equal_candidates_are_ordered_by_key(people):
    row = people(1)
    ranking = rank_local(row[0], [9, 4, 7], np.repeat(row, 3, axis=0), top=2)
    assert ranking.ids.tolist() == [[4, 7]]


def test_with_all_of_the_gallery_as_candidates_it_is_the_exact_answer(people):
    gallery, probe = people(200), people(1, seed=5)
    nearest = ReciprocalGraph.build(gallery).search(probe, 200)
    ranking = rank_local(probe[0], nearest.ids[0], gallery[nearest.ids[0]], top=200)
    exact = k_reciprocal(probe, gallery)[0]
    np.testing.assert_allclose(ranking.reranked[0], np.sort(exact), atol=2e-6)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"candidates": np.zeros((0, 16)), "keys": []}, "the gallery is empty"),
        ({"keys": [1, 2]}, "for 5 candidates"),
        ({"top": 0}, "top is 0"),
        ({"probe": np.ones(16)}, "probe row 0 has length 4"),
    ],
)
def test_what_cannot_be_ranked_is_refused_in_a_sentence(people, change, sentence):
    arguments = {"probe": people(1)[0], "keys": np.arange(5), "candidates": people(5)} | change
    with pytest.raises(RetrievalError, match=sentence):
        rank_local(**arguments)
