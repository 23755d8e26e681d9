import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import card
from retrieval.calibration import Calibration
from retrieval.errors import RetrievalError
from retrieval.score_histogram import ScoreHistogram

WORDS = {"dataset": "toy", "command": "vantage-train evaluate"}


def histogram_of(same, different, bins=1024):
    """A histogram of the given scores, all of them above -1 and below 1."""
    return ScoreHistogram(*(np.histogram(scores, bins=bins, range=(-1, 1))[0] for scores in (same, different)))


def calibrated(same, different):
    return Calibration.from_histogram(histogram_of(same, different), **WORDS)


@pytest.fixture(scope="module")
def calibration():
    rng = np.random.default_rng(0)
    return calibrated(np.clip(rng.normal(0.6, 0.15, 4000), -0.99, 0.99), rng.normal(0.0, 0.15, 200_000))


def test_thresholds_keep_to_their_rates_on_the_scores_themselves():
    rng = np.random.default_rng(1)
    same, different = np.clip(rng.normal(0.6, 0.15, 4000), -0.99, 0.99), rng.normal(0.0, 0.15, 200_000)
    calibration = calibrated(same, different)
    assert [point.false_accept_rate for point in calibration.thresholds] == [1e-2, 1e-3, 1e-4]
    for point in calibration.thresholds:
        assert (different >= point.threshold).mean() <= point.false_accept_rate
        assert (different >= point.threshold - 2 / 1024).mean() > point.false_accept_rate  # one bin lower is too low
        assert point.true_accept_rate == (same >= point.threshold).mean()
        assert (point.negatives, point.positives) == (200_000, 4000)
    assert calibration.reason is None


def test_the_card_gets_coarse_distributions_of_all_pairs(calibration):
    assert len(calibration.same) == len(calibration.different) == calibration.bins == 256
    assert sum(calibration.same) == calibration.same_pairs == 4000
    assert sum(calibration.different) == calibration.different_pairs == 200_000


def test_a_threshold_with_too_few_expected_false_accepts_is_left_out_with_the_reason():
    rng = np.random.default_rng(2)
    same = rng.uniform(0.5, 0.9, 100)
    # 10 expected false accepts are just enough: 1,000 pairs at 1e-2, 10,000 pairs at 1e-3.
    calibration = calibrated(same, rng.uniform(-0.5, 0.5, 9_999))
    assert [point.false_accept_rate for point in calibration.thresholds] == [1e-2]
    assert "rate of 0.001: 9999 different-person pairs" in calibration.reason
    assert "rate of 0.0001: 9999 different-person pairs let expect 1 false accepts" in calibration.reason
    calibration = calibrated(same, rng.uniform(-0.5, 0.5, 10_000))
    assert [point.false_accept_rate for point in calibration.thresholds] == [1e-2, 1e-3]


def test_without_any_supported_threshold_the_distributions_stay_and_verdicts_are_refused_with_the_reason():
    rng = np.random.default_rng(2)
    calibration = calibrated(rng.uniform(0.5, 0.9, 100), rng.uniform(-0.5, 0.5, 999))
    assert calibration.thresholds == ()
    assert (calibration.same_pairs, calibration.different_pairs) == (100, 999)
    with pytest.raises(
        RetrievalError, match=r"no verdicts: .*rate of 0\.01: 999 different-person pairs .*0\.0001: 999"
    ):
        calibration.verdict(0.5)
    assert Calibration.from_dict(calibration.to_dict()) == calibration


def test_a_rate_that_the_highest_scores_exceed_is_left_out_with_the_reason():
    # 0.5 percent of the different-person pairs share the topmost bin: 1e-2 can be kept, 1e-3 and 1e-4 cannot.
    different = np.concatenate([np.full(1000, 0.9999), np.zeros(199_000)])
    calibration = calibrated(np.full(10, 0.9), different)
    assert [point.false_accept_rate for point in calibration.thresholds] == [1e-2]
    assert "0.001: more than that share of the different-person pairs have the highest" in calibration.reason


def test_no_pairs_of_one_kind_are_refused():
    with pytest.raises(RetrievalError, match="0 same-person and 5 different-person pairs"):
        calibrated([], [0.1] * 5)


def test_verdicts_stand_at_the_loosest_and_the_strictest_threshold(calibration):
    loosest, middle, strictest = (point.threshold for point in calibration.thresholds)
    assert loosest < middle < strictest
    assert calibration.verdict(strictest) == "likely"
    assert calibration.verdict(math.nextafter(strictest, -1)) == "unsure"
    assert calibration.verdict(middle) == "unsure"
    assert calibration.verdict(loosest) == "unsure"
    assert calibration.verdict(math.nextafter(loosest, -1)) == "unlikely"


@settings(deadline=None, max_examples=50)
@given(scores=st.lists(st.floats(-1, 1, width=32), max_size=20))
def test_verdicts_of_many_scores_are_those_of_each(calibration, scores):
    many = calibration.verdicts(np.array(scores, np.float32))
    assert many.tolist() == [calibration.verdict(score) for score in scores]


def test_verdicts_keep_the_shape_of_the_scores(calibration):
    assert calibration.verdicts(np.array([[1.0, -1.0]])).tolist() == [["likely", "unlikely"]]


def test_a_single_threshold_leaves_nobody_unsure():
    rng = np.random.default_rng(2)
    calibration = calibrated(rng.uniform(0.5, 0.9, 100), rng.uniform(-0.5, 0.5, 5000))
    threshold = calibration.thresholds[-1].threshold
    assert calibration.verdicts(np.array([threshold, threshold - 1e-9])).tolist() == ["likely", "unlikely"]


def test_a_nan_score_has_no_verdict(calibration):
    with pytest.raises(RetrievalError, match="a score is NaN"):
        calibration.verdicts(np.array([0.1, np.nan]))


def test_the_dictionary_survives_json(calibration):
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration


def test_a_model_card_holds_a_calibration_as_it_is(calibration):
    section = card.Calibration.model_validate_json(json.dumps(calibration.to_dict()))
    assert Calibration.from_dict(section.model_dump()) == calibration


def without(key):
    def change(plain):
        del plain[key]

    return change


def put(*path_and_value):
    *path, last, value = path_and_value

    def change(plain):
        for key in path:
            plain = plain[key]
        plain[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without("dataset"), "the calibration has the keys"),
        (put("surprise", 1), "the calibration has the keys"),
        (put("dataset", ""), "dataset is ''"),
        (put("command", None), "command is None"),
        (put("reason", " "), "reason is ' '"),
        (put("metric", "euclidean"), "metric is 'euclidean'"),
        (put("bins", 200), "same has 256 counts, but bins is 200"),
        (put("bins", 256.0), "bins holds 256.0"),
        (put("same", None), "same is None: give a list"),
        (put("different", [1, 2]), "different has 2 counts, but bins is 256"),
        (put("same", 0, -1), "same holds -1"),
        (put("same", 0, 0.5), "same holds 0.5"),
        (put("same", 0, True), "same holds True"),
        (put("different", 0, 7), "different adds up to 200007 pairs and different_pairs is 200000"),
        (put("different_pairs", 199_999), "different_pairs is 199999"),
        (lambda plain: plain.update(same=[0] * 256, same_pairs=0), "same_pairs is 0"),
        (put("thresholds", []), "has no thresholds, so its reason must say why"),
        (put("thresholds", {}), "thresholds is {}: give a list"),
        (put("thresholds", 0, 3), "a threshold of the calibration has the type int"),
        (
            put("thresholds", 0, "threshold", "0.3"),
            "threshold of a threshold of the calibration is '0.3': give a number",
        ),
        (
            put("thresholds", 2, "true_accept_rate", False),
            "true_accept_rate of a threshold of the calibration is False",
        ),
        (put("thresholds", 0, "threshold", math.nan), "is no threshold"),
        (put("thresholds", 0, "threshold", 1.5), "is no threshold"),
        (put("thresholds", 0, "false_accept_rate", 1.0), "is no threshold"),
        (put("thresholds", 0, "false_accept_rate", 0), "is no threshold"),
        (put("thresholds", 0, "true_accept_rate", 1.01), "is no threshold"),
        (put("thresholds", 0, "negatives", 0), "is no threshold"),
        (put("thresholds", 0, "positives", 1.5), "positives holds 1.5"),
        (put("thresholds", 0, "false_accept_rate", 1e-3), "out of order"),
        (put("thresholds", 0, "threshold", 0.99), "out of order"),
        (put("thresholds", 2, "true_accept_rate", 1.0), "out of order"),
    ],
)
def test_what_no_measurement_could_have_given_is_refused(calibration, change, sentence):
    plain = json.loads(json.dumps(calibration.to_dict()))
    change(plain)
    with pytest.raises(RetrievalError) as error:
        Calibration.from_dict(plain)
    assert sentence in str(error.value)


def test_something_else_than_a_dictionary_is_refused():
    with pytest.raises(RetrievalError, match="the calibration has the type list"):
        Calibration.from_dict([])
