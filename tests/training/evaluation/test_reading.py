import numpy as np
import pytest

from models import InputSpec
from training.data import Split, load_dataset, read_crop
from training.evaluation import read_crops, reading


@pytest.fixture
def spec():
    return InputSpec(name="x", height=16, width=8, resize="bilinear", layout="NHWC", dtype="uint8", colour="RGB")


def test_crops_come_in_order_with_a_sentence_in_the_place_of_a_broken_file(colourful_market, spec, monkeypatch):
    monkeypatch.setattr(reading, "_AHEAD", 4)
    gallery = load_dataset(f"market1501:{colourful_market()}").gallery
    gallery[5].source.write_bytes(b"broken")
    crops = list(read_crops(gallery, spec, workers=2))
    assert len(crops) == len(gallery)
    for place, (picture, crop) in enumerate(zip(gallery, crops, strict=True)):
        if place == 5:
            assert picture.source.name in crop
        else:
            np.testing.assert_array_equal(crop, read_crop(picture, spec))


def test_only_a_bounded_number_is_read_before_anyone_asks(colourful_market, spec, monkeypatch):
    read = []
    monkeypatch.setattr(reading, "_AHEAD", 4)
    monkeypatch.setattr(reading, "read_crop", lambda picture, spec: read.append(picture.name) or np.zeros(1))
    crops = read_crops(load_dataset(f"market1501:{colourful_market()}").gallery, spec, workers=1)
    for _ in range(3):
        next(crops)
    assert len(read) <= 8


def test_rendered_people_come_as_one_by_one(spec):
    dataset = load_dataset("synthetic:people=4,cameras=2,size=32x16")
    crops = list(read_crops(dataset.gallery, spec, workers=1))
    for picture, crop in zip(dataset.gallery, crops, strict=True):
        np.testing.assert_array_equal(crop, read_crop(picture, spec))
    other = load_dataset("synthetic:people=4,cameras=2,seed=1,size=32x16").gallery
    mixed = Split((dataset.gallery[0], other[0]))
    np.testing.assert_array_equal(list(read_crops(mixed, spec, workers=1))[1], read_crop(other[0], spec))


def test_of_no_pictures_there_are_no_crops(spec):
    assert list(read_crops((), spec)) == []
