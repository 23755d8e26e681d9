import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import RetrievalError
from retrieval.labels import Labels
from retrieval.score_histogram import ScoreHistogram, tpr_at_fpr


def literal_pairs(scores, query, gallery, ignore_cameras, junk):
    """Scores of the same-person and of the different-person pairs, pair by pair."""
    same, different = [], []
    for q in range(len(query)):
        for g in range(len(gallery)):
            if junk in (query.person[q], gallery.person[g]):
                continue
            if query.person[q] != gallery.person[g]:
                different.append(scores[q][g])
            elif ignore_cameras or query.camera[q] != gallery.camera[g]:
                same.append(scores[q][g])
    return same, different


def literal_counts(scores, bins):
    counts = [0] * bins
    for score in scores:
        counts[max(i for i in range(bins) if i == 0 or score >= -1 + 2 * i / bins)] += 1
    return counts


def as_score(distances):
    return 1 - distances


@st.composite
def pair_cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    queries, size = draw(st.integers(1, 6)), draw(st.integers(1, 25))
    persons, cameras = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    sides = [Labels(rng.integers(-1, persons, count), rng.integers(0, cameras, count)) for count in (queries, size)]
    scores = rng.uniform(-1, 1, (queries, size))
    levels = draw(st.sampled_from([2, 16, None]))
    if levels:
        scores = np.round(scores * levels) / levels  # on the edges of bins, -1 and 1 included
    return scores.astype(draw(st.sampled_from([np.float32, np.float64]))), *sides, draw(st.booleans())


@settings(deadline=None, max_examples=150)
@given(case=pair_cases(), bins=st.sampled_from([2, 16, 128]), cut=st.integers(0, 6))
def test_every_pair_that_counts_is_counted_once_in_its_bin(case, bins, cut):
    scores, query, gallery, ignore_cameras = case
    same, different = literal_pairs(scores, query, gallery, ignore_cameras, junk=-1)
    for distances in (-scores, [-scores[:cut], -scores[cut:]]):
        histogram = ScoreHistogram.of_pairs(
            distances, query, gallery, similarity=np.negative, bins=bins, ignore_cameras=ignore_cameras
        )
        assert histogram.same.tolist() == literal_counts(same, bins)
        assert histogram.different.tolist() == literal_counts(different, bins)
        assert (histogram.same_pairs, histogram.different_pairs) == (len(same), len(different))


@settings(deadline=None, max_examples=150)
@given(case=pair_cases(), fpr=st.sampled_from([0.0, 0.01, 0.07, 0.1, 0.29, 0.5, 1.0]))
def test_the_threshold_is_the_lowest_edge_that_keeps_to_the_rate_by_count(case, fpr):
    scores, query, gallery, ignore_cameras = case
    same, different = literal_pairs(scores, query, gallery, ignore_cameras, junk=-1)
    bins = 64
    histogram = ScoreHistogram.of_pairs(
        -scores, query, gallery, similarity=np.negative, bins=bins, ignore_cameras=ignore_cameras
    )
    if not same or not different:
        with pytest.raises(RetrievalError, match=r"without a (same|different)-person pair no rate is known"):
            tpr_at_fpr(histogram, fpr)
        return
    point = tpr_at_fpr(histogram, fpr)
    edges = [*(-1 + 2 * i / bins for i in range(bins)), math.inf]
    kept = [edge for edge in edges if sum(score >= edge for score in different) / len(different) <= fpr]
    assert point.threshold == min(kept)
    assert point.true_accept_rate == sum(score >= point.threshold for score in same) / len(same)
    assert (point.negatives, point.positives) == (len(different), len(same))


def test_a_hand_counted_operating_point():
    # Four bins with lower edges -1, -0.5, 0, 0.5. Of 10 different-person pairs 1 scores >= 0.5 and 3 score >= 0.
    histogram = ScoreHistogram(np.array([0, 1, 3, 4]), np.array([5, 2, 2, 1]))
    point = tpr_at_fpr(histogram, 0.1)
    assert (point.threshold, point.true_accept_rate) == (0.5, 4 / 8)
    point = tpr_at_fpr(histogram, 0.29)
    assert (point.threshold, point.true_accept_rate) == (0.5, 4 / 8)
    point = tpr_at_fpr(histogram, 0.3)
    assert (point.threshold, point.true_accept_rate) == (0.0, 7 / 8)
    point = tpr_at_fpr(histogram, 0.05)
    assert (point.threshold, point.true_accept_rate) == (math.inf, 0.0)
    assert (point.negatives, point.positives) == (10, 8)


def test_a_rate_that_a_product_would_round_down_is_still_reached():
    # 29 of 100 is a rate of exactly 0.29, although 0.29 * 100 is 28.999999999999996.
    assert tpr_at_fpr(ScoreHistogram(np.array([0, 1]), np.array([71, 29])), 0.29).threshold == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_score_just_below_an_edge_lies_below_it(dtype):
    query, gallery = Labels(np.array([1]), np.array([1])), Labels(np.array([2, 3]), np.array([2, 2]))
    distances = np.array([[1e-20, 0.0]], dtype)
    histogram = ScoreHistogram.of_pairs(distances, query, gallery, similarity=np.negative, bins=4)
    assert histogram.different.tolist() == [0, 1, 1, 0]


def test_the_default_score_is_the_cosine_of_squared_distances():
    rng = np.random.default_rng(3)
    query_vectors, gallery_vectors = (
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        for vectors in (rng.normal(size=(n, 8)) for n in (4, 9))
    )
    cosine = query_vectors @ gallery_vectors.T
    squared = ((query_vectors[:, None] - gallery_vectors[None]) ** 2).sum(axis=2)
    query, gallery = Labels(np.arange(4), np.zeros(4, int)), Labels(np.arange(9) % 5, np.ones(9, int))
    same, different = literal_pairs(cosine, query, gallery, False, -1)
    histogram = ScoreHistogram.of_pairs(squared, query, gallery, bins=32)
    assert histogram.same.tolist() == literal_counts(same, 32)
    assert histogram.different.tolist() == literal_counts(different, 32)


def test_rounding_past_one_stays_in_the_outermost_bins_and_other_scores_are_refused():
    query, gallery = Labels(np.array([1]), np.array([1])), Labels(np.array([1, 2]), np.array([2, 2]))
    histogram = ScoreHistogram.of_pairs(np.array([[-1e-6, 2.000001]]), query, gallery, similarity=as_score, bins=4)
    assert histogram.same.tolist() == [0, 0, 0, 1]
    assert histogram.different.tolist() == [1, 0, 0, 0]
    for distances in ([[-0.5, 1.0]], [[1.0, 2.5]]):
        with pytest.raises(RetrievalError, match=r"similarities lie in \[-1, 1\]"):
            ScoreHistogram.of_pairs(np.array(distances), query, gallery, similarity=as_score)
    with pytest.raises(RetrievalError, match="scores reach from nan"):
        ScoreHistogram.of_pairs(np.array([[1.0, 1.0]]), query, gallery, similarity=lambda d: d * np.nan)


def test_histograms_add_up():
    a = ScoreHistogram(np.array([1, 2]), np.array([3, 4]))
    b = ScoreHistogram(np.array([10, 20]), np.array([30, 40]))
    assert (a + b).same.tolist() == [11, 22]
    assert (a + b).different.tolist() == [33, 44]
    with pytest.raises(RetrievalError, match="one histogram has 2 bins, the other 4"):
        a + ScoreHistogram(np.zeros(4, int), np.zeros(4, int))


def test_a_coarser_histogram_holds_the_same_pairs():
    coarse = ScoreHistogram(np.array([1, 2, 3, 4]), np.array([5, 6, 7, 8])).coarser(2)
    assert coarse.same.tolist() == [3, 7]
    assert coarse.different.tolist() == [11, 15]
    with pytest.raises(RetrievalError, match="cannot be cut into 4"):
        coarse.coarser(4)


def test_histograms_that_are_none_are_refused():
    with pytest.raises(RetrievalError, match="3 bins: the number must be a power of two"):
        ScoreHistogram(np.zeros(3, int), np.zeros(3, int))
    with pytest.raises(RetrievalError, match="give equally many"):
        ScoreHistogram(np.zeros(2, int), np.zeros(4, int))
    for counts in (np.array([1, -1]), np.array([0.5, 0.5]), np.ones((1, 2), int)):
        with pytest.raises(RetrievalError, match="give counts, one a bin"):
            ScoreHistogram(counts, np.array([1, 1]))


def test_a_rate_that_is_none_is_refused():
    for fpr in (-0.1, 1.1, math.nan):
        with pytest.raises(RetrievalError, match="give a number from 0 to 1"):
            tpr_at_fpr(ScoreHistogram(np.array([1, 1]), np.array([1, 1])), fpr)
