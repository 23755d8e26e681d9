import numpy as np
import pytest

import models
from models import Bundle, Card, Session
from retrieval import Calibration
from training.data import Dataset, load_dataset
from training.evaluation import (
    EvaluationError,
    calibrate,
    in_plain_words,
    open_trial,
    pairs_in_words,
    pairs_of,
    section_of,
)


@pytest.fixture
def calibrated(linear_model, colourful_market):
    """Enough pairs for two thresholds, and every pair's score by plain loops."""
    model = linear_model()
    dataset = load_dataset(f"market1501:{colourful_market(people=22, each=3, distractors=40)}")
    trial = open_trial(Session(Bundle.open(model.path), device="cpu", threads=1), dataset)
    same, different = [], []
    for asked, a in zip(trial.query.split, trial.query.vectors, strict=True):
        for other, b in zip(trial.gallery.split, trial.gallery.vectors, strict=True):
            if asked.person != other.person:
                different.append(float(a @ b))
            elif asked.camera != other.camera:
                same.append(float(a @ b))
    return calibrate(trial, dataset="d", command="c"), np.array(same), np.array(different)


def test_thresholds_hold_by_count(calibrated):
    calibration, same, different = calibrated
    assert [point.false_accept_rate for point in calibration.thresholds] == [1e-2, 1e-3]
    assert "no threshold at a false accept rate of 0.0001" in calibration.reason
    for point in calibration.thresholds:
        assert (point.positives, point.negatives) == (len(same), len(different))
        accepted = (different >= point.threshold).sum()
        assert accepted <= point.false_accept_rate * len(different)
        # one bin lower would let too many through
        assert (different >= point.threshold - 2 / 65536).sum() > point.false_accept_rate * len(different)
        assert point.true_accept_rate == (same >= point.threshold).sum() / len(same)
        assert 0 < point.true_accept_rate < 1


def test_the_words_give_the_counts(calibrated):
    calibration, same, different = calibrated
    words = in_plain_words(calibration)
    allowed = int(0.01 * len(different))
    assert f"of 100 pairs of different people about 1 gets there by mistake (at most {allowed:,} of the" in words[0]
    assert f"({len(same):,} counted)" in words[0]
    strict, loose = calibration.thresholds[-1].threshold, calibration.thresholds[0].threshold
    assert f"likely from {strict:.4f} up, unlikely below {loose:.4f}" in words[2]
    assert words[-1].startswith("Not known: no threshold")


def test_the_cards_section_is_what_retrieval_reads_back(calibrated, linear_model):
    calibration = calibrated[0]
    section = section_of(calibration)
    assert Calibration.from_dict(section.model_dump()) == calibration
    card = Card.load(linear_model(name="other").path / "card.json")
    again = card.model_copy(update={"calibration": section, "uncalibrated_because": None})
    assert models.Card.parse(again.model_dump_json()).calibration == section


def test_training_pairs_are_made_of_the_training_split_alone(linear_model, colourful_market):
    dataset = load_dataset(f"market1501:{colourful_market()}")
    assert pairs_of(dataset, "test") is dataset
    chosen = pairs_of(dataset, "train")
    names = {picture.name for picture in (*chosen.query, *chosen.gallery)}
    assert names == {picture.name for picture in dataset.train}
    trial = open_trial(Session(Bundle.open(linear_model().path), device="cpu", threads=1), chosen)
    assert pairs_in_words("market1501", "train", trial) == (
        "market1501: training split, one query a person and camera, 4 x 4 pictures, other cameras only"
    )
    with pytest.raises(EvaluationError, match="market1501 has no training pictures"):
        pairs_of(Dataset("market1501", query=dataset.query, gallery=dataset.gallery), "train")


def test_without_pairs_of_one_kind_nothing_is_calibrated(linear_model, colourful_market):
    dataset = load_dataset(f"market1501:{colourful_market(people=1, distractors=0, junk=0)}")
    trial = open_trial(Session(Bundle.open(linear_model().path), device="cpu", threads=1), dataset)
    with pytest.raises(EvaluationError, match="there is no different-person pair"):
        calibrate(trial, dataset="d", command="c")
