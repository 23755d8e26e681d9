import numpy as np
import pytest

from training.data import Split, load_dataset, read_crop, read_crops, reading_ahead


@pytest.fixture
def ten_pictures(make_market):
    """Market-1501's form, with ten pictures in the gallery."""
    return make_market(gallery=[f"0001_c{at % 6 + 1}s1_{at:06d}_00.jpg" for at in range(10)])


def test_crops_come_in_order_with_a_sentence_in_the_place_of_a_broken_file(ten_pictures, small_spec, monkeypatch):
    monkeypatch.setattr(reading_ahead, "_AHEAD", 4)
    gallery = load_dataset(f"market1501:{ten_pictures}").gallery
    gallery[5].source.write_bytes(b"broken")
    crops = list(read_crops(gallery, small_spec, workers=2))
    assert len(crops) == len(gallery)
    for place, (picture, crop) in enumerate(zip(gallery, crops, strict=True)):
        if place == 5:
            assert picture.source.name in crop
        else:
            np.testing.assert_array_equal(crop, read_crop(picture, small_spec))


def test_only_a_bounded_number_is_read_before_anyone_asks(ten_pictures, small_spec, monkeypatch):
    read = []
    monkeypatch.setattr(reading_ahead, "_AHEAD", 4)
    monkeypatch.setattr(reading_ahead, "read_crop", lambda picture, spec: read.append(picture.name) or np.zeros(1))
    crops = read_crops(load_dataset(f"market1501:{ten_pictures}").gallery, small_spec, workers=1)
    for _ in range(3):
        next(crops)
    assert len(read) <= 8


def test_rendered_people_come_as_one_by_one(small_spec):
    dataset = load_dataset("synthetic:people=4,cameras=2,size=32x16")
    crops = list(read_crops(dataset.gallery, small_spec, workers=1))
    for picture, crop in zip(dataset.gallery, crops, strict=True):
        np.testing.assert_array_equal(crop, read_crop(picture, small_spec))
    other = load_dataset("synthetic:people=4,cameras=2,seed=1,size=32x16").gallery
    mixed = Split((dataset.gallery[0], other[0]))
    np.testing.assert_array_equal(list(read_crops(mixed, small_spec, workers=1))[1], read_crop(other[0], small_spec))


def test_of_no_pictures_there_are_no_crops(small_spec):
    assert list(read_crops((), small_spec)) == []
