import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import RetrievalError
from retrieval.labels import Labels
from retrieval.metrics import ranking_metrics


def literal_metrics(distances, query, gallery, ignore_cameras=False, junk=-1, max_rank=50):
    """The definitions, item by item: step AP as a mean of precisions, trapezoid AP as the official code walks."""
    ap_step, ap_trapezoid, inp, first_match = [], [], [], []
    pairs = own_camera_pairs = 0
    for q in range(len(query.person)):
        ranking, own = [], 0
        for g in sorted(range(len(gallery.person)), key=lambda g: (distances[q][g], g)):
            if gallery.person[g] == junk or query.person[q] == junk:
                continue
            same = gallery.person[g] == query.person[q]
            if same and not ignore_cameras and gallery.camera[g] == query.camera[q]:
                own += 1
                continue
            ranking.append(same)
        matches = sum(ranking)
        if matches == 0:
            ap_step.append(np.nan)
            ap_trapezoid.append(np.nan)
            inp.append(np.nan)
            first_match.append(-1)
            continue
        pairs += len(ranking)
        own_camera_pairs += own

        found, precisions, last = 0, [], 0
        for rank, correct in enumerate(ranking, start=1):
            if correct:
                found += 1
                precisions.append(found / rank)
                last = rank
        ap_step.append(sum(precisions) / matches)
        inp.append(matches / last)
        first_match.append(ranking.index(True) + 1)

        area, found, old_recall, old_precision = 0.0, 0, 0.0, 1.0
        for rank, correct in enumerate(ranking, start=1):
            found += correct
            recall, precision = found / matches, found / rank
            area += (recall - old_recall) * (old_precision + precision) / 2
            old_recall, old_precision = recall, precision
        ap_trapezoid.append(area)

    scored = sum(rank > 0 for rank in first_match)
    return {
        "ap_step": ap_step,
        "ap_trapezoid": ap_trapezoid,
        "inp": inp,
        "first_match": first_match,
        "cmc": [sum(0 < rank <= k for rank in first_match) / max(scored, 1) for k in range(1, max_rank + 1)],
        "queries_scored": scored,
        "pairs": pairs,
        "pairs_own_camera": own_camera_pairs,
        "gallery_junk": sum(person == junk for person in gallery.person),
    }


def assert_same(metrics, expected):
    for name in ("ap_step", "ap_trapezoid", "inp"):
        np.testing.assert_allclose(getattr(metrics, name), expected[name], rtol=1e-12, err_msg=name)
    np.testing.assert_array_equal(metrics.first_match, expected["first_match"])
    np.testing.assert_allclose(metrics.cmc, expected["cmc"], rtol=1e-12)
    for name in ("queries_scored", "pairs", "pairs_own_camera", "gallery_junk"):
        assert getattr(metrics, name) == expected[name], name
    assert metrics.queries_skipped == len(expected["first_match"]) - expected["queries_scored"]
    assert metrics.map_step == pytest.approx(np.nanmean(expected["ap_step"]), rel=1e-12)
    assert metrics.map_trapezoid == pytest.approx(np.nanmean(expected["ap_trapezoid"]), rel=1e-12)
    assert metrics.minp == pytest.approx(np.nanmean(expected["inp"]), rel=1e-12)


def random_labels(rng, count, persons, cameras, text):
    person = rng.integers(-1, persons, count)  # -1 is junk, 0 a distractor that queries may happen to share
    camera = rng.integers(1, cameras + 1, count)
    return Labels(person.astype(str), np.char.add("cam", camera.astype(str))) if text else Labels(person, camera)


LAYOUTS = {
    "contiguous": lambda array: array,
    "fortran": np.asfortranarray,
    "strided": lambda array: np.repeat(np.repeat(array, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda array: np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1],
}


@settings(deadline=None, max_examples=250)
@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 6),
    gallery_size=st.integers(1, 40),
    persons=st.integers(1, 6),
    cameras=st.integers(1, 3),
    levels=st.sampled_from([1, 3, 12, None]),
    text=st.booleans(),
    ignore_cameras=st.booleans(),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    layout=st.sampled_from(sorted(LAYOUTS)),
    cut=st.integers(0, 6),
)
def test_metrics_are_those_of_the_literal_definitions(
    seed, queries, gallery_size, persons, cameras, levels, text, ignore_cameras, dtype, layout, cut
):
    rng = np.random.default_rng(seed)
    query = random_labels(rng, queries, persons, cameras, text)
    gallery = random_labels(rng, gallery_size, persons, cameras, text)
    distances = rng.random((queries, gallery_size))
    if levels is not None:
        distances = np.floor(distances * levels) / levels  # many equal distances
    distances = LAYOUTS[layout](distances.astype(dtype))
    junk = "-1" if text else -1
    expected = literal_metrics(distances, query, gallery, ignore_cameras, junk)

    blocks = [distances[:cut], distances[cut:]]
    if expected["queries_scored"] == 0:
        with pytest.raises(RetrievalError):
            ranking_metrics(distances, query, gallery, ignore_cameras=ignore_cameras)
        return
    assert_same(ranking_metrics(distances, query, gallery, ignore_cameras=ignore_cameras), expected)
    assert_same(ranking_metrics(iter(blocks), query, gallery, ignore_cameras=ignore_cameras), expected)


@pytest.mark.parametrize("levels", [5, 300, 5000])
def test_ties_in_a_large_gallery_rank_by_gallery_index(levels):
    rng = np.random.default_rng(levels)
    query = random_labels(rng, 6, 20, 2, text=False)
    gallery = random_labels(rng, 3000, 20, 2, text=False)
    distances = (np.floor(rng.random((6, 3000)) * levels) / levels).astype(np.float32)
    assert_same(ranking_metrics(distances, query, gallery), literal_metrics(distances, query, gallery))


# One person, 1, asked for from camera 1 and from camera 2; a third query shows person 9, whom the gallery lacks.
# Gallery by distance to query 0:  own camera, match, wrong, junk, match, wrong (0 = distractor), wrong, match
HAND_GALLERY = Labels(np.array([1, 1, 2, -1, 1, 0, 3, 1]), np.array([1, 2, 1, 2, 3, 1, 1, 2]))
HAND_QUERY = Labels(np.array([1, 1, 9]), np.array([1, 2, 1]))
HAND_DISTANCES = np.array(
    [
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
        [0.9, 0.1, 0.2, 0.1, 0.8, 0.3, 0.9, 0.1],
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
    ]
)


def test_a_hand_computed_example_gives_both_aps_minp_and_cmc():
    metrics = ranking_metrics(HAND_DISTANCES, HAND_QUERY, HAND_GALLERY, max_rank=3)
    # Query 0 without own camera and junk: match, wrong, match, wrong, wrong, match -> ranks 1, 3, 6.
    #   step       (1/1 + 2/3 + 3/6) / 3                              = 13/18
    #   trapezoid  ((1 + 1)/2 + (1/2 + 2/3)/2 + (2/5 + 3/6)/2) / 3    = (1 + 7/12 + 9/20) / 3 = 61/90
    #   INP        3/6
    # Query 1, camera 2: gallery 1 and 7 are its own camera, 3 is junk; left, by distance: 2 (0.2, wrong), 5 (0.3,
    # wrong), 4 (0.8, match), 0 (0.9, match), 6 (0.9, wrong; equal to 0 but of higher index) -> ranks 3, 4.
    #   step       (1/3 + 2/4) / 2                                    = 5/12
    #   trapezoid  ((0/2 + 1/3)/2 + (1/3 + 2/4)/2) / 2                = (1/6 + 5/12) / 2 = 7/24
    #   INP        2/4
    # Query 2 has no match and is skipped.
    np.testing.assert_allclose(metrics.ap_step, [13 / 18, 5 / 12, np.nan], rtol=1e-12)
    np.testing.assert_allclose(metrics.ap_trapezoid, [61 / 90, 7 / 24, np.nan], rtol=1e-12)
    np.testing.assert_allclose(metrics.inp, [1 / 2, 1 / 2, np.nan], rtol=1e-12)
    assert metrics.first_match.tolist() == [1, 3, -1]
    assert metrics.map_step == pytest.approx((13 / 18 + 5 / 12) / 2, rel=1e-12)
    assert metrics.map_trapezoid == pytest.approx((61 / 90 + 7 / 24) / 2, rel=1e-12)
    assert metrics.minp == pytest.approx(0.5, rel=1e-12)
    assert metrics.cmc.tolist() == [0.5, 0.5, 1.0]
    assert (metrics.rank1, metrics.rank5, metrics.rank10) == (0.5, 1.0, 1.0)
    assert (metrics.queries_scored, metrics.queries_skipped, metrics.queries_own_camera_only) == (2, 1, 0)
    assert (metrics.gallery_junk, metrics.pairs, metrics.pairs_own_camera) == (1, 6 + 5, 1 + 2)


def test_ignoring_cameras_makes_the_own_camera_items_matches():
    # Query 0 then sees match, match, wrong, match, wrong, wrong, match -> ranks 1, 2, 4, 7.
    metrics = ranking_metrics(HAND_DISTANCES, HAND_QUERY, HAND_GALLERY, ignore_cameras=True)
    assert metrics.ap_step[0] == pytest.approx((1 + 1 + 3 / 4 + 4 / 7) / 4, rel=1e-12)
    assert metrics.pairs_own_camera == 0


def test_ignoring_cameras_needs_no_camera_labels_and_keeping_the_rule_does():
    query, gallery = Labels(HAND_QUERY.person), Labels(HAND_GALLERY.person)
    without = ranking_metrics(HAND_DISTANCES, query, gallery, ignore_cameras=True)
    given_ = ranking_metrics(HAND_DISTANCES, HAND_QUERY, HAND_GALLERY, ignore_cameras=True)
    np.testing.assert_array_equal(without.ap_step, given_.ap_step)
    with pytest.raises(RetrievalError, match=r"queries have no camera labels.*ignore_cameras=True"):
        ranking_metrics(HAND_DISTANCES, query, HAND_GALLERY)


def test_the_junk_label_can_be_chosen():
    # With 3 as junk and -1 an ordinary label, query 0 sees match, wrong, wrong (-1), match, wrong, match:
    # ranks 1, 4, 6.
    metrics = ranking_metrics(HAND_DISTANCES, HAND_QUERY, HAND_GALLERY, junk=3)
    assert metrics.ap_step[0] == pytest.approx((1 + 2 / 4 + 3 / 6) / 3, rel=1e-12)
    assert metrics.gallery_junk == 1


def test_a_query_found_only_in_its_own_camera_is_skipped_and_counted_as_such():
    query = Labels(np.array([1, 2]), np.array([1, 1]))
    gallery = Labels(np.array([1, 2, 2]), np.array([2, 1, 1]))
    metrics = ranking_metrics(np.zeros((2, 3)), query, gallery)
    assert (metrics.queries_scored, metrics.queries_skipped, metrics.queries_own_camera_only) == (1, 1, 1)


def test_cmc_beyond_the_gallery_stays_at_the_share_found():
    metrics = ranking_metrics(np.array([[0.5]]), Labels(np.array([1]), np.array([1])), Labels([1], [2]))
    assert metrics.cmc.tolist() == [1.0] * 50


def test_rank_1_5_and_10_include_matches_at_exactly_that_rank():
    # Query i finds its only match, gallery item 0, at this rank: it is farther than rank - 1 of the eleven others.
    ranks = [1, 2, 5, 6, 10, 11, 12]
    distances = np.tile(np.arange(12.0), (7, 1))
    distances[:, 0] = np.array(ranks) - 0.5
    query = Labels(np.ones(7, np.int64), np.ones(7, np.int64))
    gallery = Labels(np.array([1] + [2] * 11), np.full(12, 2))
    metrics = ranking_metrics(distances, query, gallery)
    assert metrics.first_match.tolist() == ranks
    assert (metrics.rank1, metrics.rank5, metrics.rank10) == (1 / 7, 3 / 7, 5 / 7)
    assert metrics.rank5 == metrics.cmc[4]


def test_results_are_read_only():
    metrics = ranking_metrics(HAND_DISTANCES, HAND_QUERY, HAND_GALLERY)
    for array in (metrics.cmc, metrics.ap_step, metrics.ap_trapezoid, metrics.inp, metrics.first_match):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_max_rank_below_1_is_refused():
    with pytest.raises(RetrievalError, match="max_rank is 0"):
        ranking_metrics(HAND_DISTANCES, HAND_QUERY, HAND_GALLERY, max_rank=0)
