import pytest

from training.export import ExportError, licence_of


def test_published_datasets_bring_their_terms():
    assert "research" in licence_of("market1501", None, None).weights
    assert "research" in licence_of("dukemtmc", None, None).training_data
    assert licence_of("synthetic", None, None).weights == "Apache-2.0"


def test_what_is_said_goes_before_what_is_known():
    licence = licence_of("market1501", "by contract 7", None)
    assert licence.weights == "by contract 7"
    assert "Market-1501" in licence.training_data


def test_unknown_data_must_have_its_terms_said():
    with pytest.raises(ExportError, match=r"terms of the training data \(folder\) are not known: .*--data-terms"):
        licence_of("folder", "MIT", None)
    assert licence_of("folder", "MIT", "our own shop").training_data == "our own shop"
