import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import RetrievalError
from retrieval.labels import Labels
from retrieval.metrics import ranking_metrics
from retrieval.open_set import open_set_metrics


def literal_open_set(distances, query, gallery, unknown, rate, ignore_cameras):
    """(detection rate, false alarms, known, unknown, skipped), by trying every threshold that could matter."""
    unknown_people = {query.person[q] for q in range(len(query)) if unknown[q]}
    found, alarms, known, skipped = [], [], 0, 0
    for q in range(len(query)):
        person = query.person[q]
        enrolled = [
            g for g in range(len(gallery)) if gallery.person[g] != -1 and gallery.person[g] not in unknown_people
        ]
        valid = [
            g for g in enrolled if ignore_cameras or gallery.person[g] != person or gallery.camera[g] != query.camera[q]
        ]
        best = min(valid, key=lambda g: (distances[q][g], g), default=None)
        if person == -1:
            skipped += 1
        elif all(gallery.person[g] != person for g in enrolled):
            alarms.append(-np.inf if best is None else 1 - distances[q][best] / 2)
        elif all(gallery.person[g] != person for g in valid):
            skipped += 1
        else:
            known += 1
            if gallery.person[best] == person:
                found.append(1 - distances[q][best] / 2)
    if not known or not alarms:
        return None
    everything = sorted({*found, *alarms, np.inf})
    threshold = min(t for t in everything if sum(alarm >= t for alarm in alarms) / len(alarms) <= rate)
    detected = sum(score >= threshold for score in found)
    return detected / known, sum(alarm >= threshold for alarm in alarms), known, len(alarms), skipped


@settings(deadline=None, max_examples=250)
@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(2, 14),
    size=st.integers(1, 25),
    levels=st.sampled_from([3, 20, None]),
    rate=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]),
    ignore_cameras=st.booleans(),
    marked=st.booleans(),
    cut=st.integers(0, 14),
)
def test_detection_is_that_of_the_literal_definition(seed, queries, size, levels, rate, ignore_cameras, marked, cut):
    rng = np.random.default_rng(seed)
    query, gallery = (Labels(rng.integers(-1, 6, n), rng.integers(0, 2, n)) for n in (queries, size))
    distances = rng.uniform(0, 4, (queries, size))
    if levels:
        distances = np.round(distances * levels) / levels
    unknown = np.isin(query.person, rng.choice(6, 2)) if marked else np.zeros(queries, bool)
    expected = literal_open_set(distances, query, gallery, unknown, rate, ignore_cameras)

    for given_ in (distances, [distances[:cut], distances[cut:]]):
        arguments = (given_, query, gallery, unknown if marked else None)
        options = {"false_alarm_rates": [rate], "ignore_cameras": ignore_cameras}
        if expected is None:
            with pytest.raises(RetrievalError):
                open_set_metrics(*arguments, **options)
            continue
        metrics = open_set_metrics(*arguments, **options)
        (point,) = metrics.points
        assert (
            point.detection_rate,
            point.false_alarms,
            metrics.known,
            metrics.unknown,
            metrics.skipped,
        ) == expected


# Persons 1 and 2 are known, 3 has no item in the gallery, 4 is in the gallery but withheld when marked.
QUERY = Labels(np.array([1, 1, 2, 3, 4]), np.array([1, 1, 1, 1, 1]))
GALLERY = Labels(np.array([1, 2, 4]), np.array([2, 2, 2]))
SCORES = np.array(
    [
        [0.9, 0.1, 0.0],  # found at 0.9
        [0.5, 0.2, 0.0],  # found at 0.5
        [0.8, 0.7, 0.0],  # not found: person 1 is nearer
        [0.6, 0.1, 0.0],  # person 3: false alarm at 0.6
        [0.1, 0.2, 0.9],  # person 4: found at 0.9, or, withheld, false alarm at 0.2
    ]
)
UNKNOWN = np.array([False, False, False, False, True])


def test_a_hand_computed_example():
    metrics = open_set_metrics(2 - 2 * SCORES, QUERY, GALLERY, UNKNOWN, false_alarm_rates=[0.5, 0.4])
    assert (metrics.known, metrics.unknown, metrics.skipped) == (3, 2, 0)
    assert metrics.rank1 == 2 / 3
    half, none = metrics.points
    # One false alarm of two is allowed: the threshold lies just above 0.2, and both found queries pass it.
    assert (half.detection_rate, half.false_alarms) == (2 / 3, 1)
    assert half.threshold == pytest.approx(0.2)
    # None is allowed: just above 0.6, where only the query at 0.9 remains.
    assert (none.detection_rate, none.false_alarms) == (1 / 3, 0)
    assert none.threshold == pytest.approx(0.6)


def test_a_query_with_nothing_but_its_own_camera_is_skipped_and_finds_nothing():
    query = Labels(np.array([1, 1, 2]), np.array([1, 2, 1]))
    gallery = Labels(np.array([1]), np.array([1]))  # the first query's own camera; the second's match
    metrics = open_set_metrics(np.array([[0.1], [0.2], [0.3]]), query, gallery, false_alarm_rates=[0.0])
    assert (metrics.known, metrics.unknown, metrics.skipped) == (1, 1, 1)
    assert metrics.rank1 == metrics.points[0].detection_rate == 1.0


def test_without_a_mask_only_people_whom_the_gallery_lacks_are_unknown():
    metrics = open_set_metrics(2 - 2 * SCORES, QUERY, GALLERY, false_alarm_rates=[0.0])
    assert (metrics.known, metrics.unknown) == (4, 1)
    assert metrics.points[0].detection_rate == 2 / 4  # 0.9 and 0.9 lie above 0.6, 0.5 does not


def test_rank1_is_that_of_the_closed_set_metrics_over_the_known_queries():
    metrics = open_set_metrics(2 - 2 * SCORES, QUERY, GALLERY)
    assert metrics.rank1 == ranking_metrics(2 - 2 * SCORES, QUERY, GALLERY).rank1


def test_a_person_cannot_be_known_and_unknown():
    with pytest.raises(RetrievalError, match="person 1 is marked unknown in some queries and known in others"):
        open_set_metrics(2 - 2 * SCORES, QUERY, GALLERY, np.array([True, False, False, False, False]))


def test_a_set_without_known_or_without_unknown_people_is_refused():
    with pytest.raises(RetrievalError, match="every query is marked unknown"):
        open_set_metrics(2 - 2 * SCORES, QUERY, GALLERY, np.ones(5, bool))
    known = Labels(QUERY.person[:3], QUERY.camera[:3])
    with pytest.raises(RetrievalError, match="no query is of an unknown person"):
        open_set_metrics(2 - 2 * SCORES[:3], known, GALLERY)


def test_masks_and_rates_that_are_none_are_refused():
    with pytest.raises(RetrievalError, match=r"unknown has shape \(5,\) and dtype int64"):
        open_set_metrics(2 - 2 * SCORES, QUERY, GALLERY, np.zeros(5, np.int64))
    with pytest.raises(RetrievalError, match=r"false-alarm rate is 1\.0"):
        open_set_metrics(2 - 2 * SCORES, QUERY, GALLERY, false_alarm_rates=[1.0])
