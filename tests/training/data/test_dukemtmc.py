import pytest

from training.data import DataError, load_dataset


def test_names_in_duke_s_own_pattern_are_read(make_market):
    root = make_market(
        train=("0001_c2_f0046182.jpg", "0001_c5_f0051341.jpg"),
        query=("0005_c2_f0046985.jpg",),
        gallery=("0005_c5_f0051781.jpg", "4783_c8_f0040246.jpg"),
    )
    dataset = load_dataset(f"dukemtmc:{root}")
    assert dataset.name == "dukemtmc"
    assert dataset.train.people == ("0001",)
    assert dataset.train.cameras.tolist() == ["c2", "c5"]
    assert dataset.gallery.people == ("0005", "4783")
    assert [picture.tracklet for picture in dataset.train] == [None, None]


def test_market_s_names_are_not_duke_s(make_market):
    with pytest.raises(DataError, match=r"dukemtmc: the names of .* names look like 0001_c2_f0046182\.jpg"):
        load_dataset(f"dukemtmc:{make_market()}")
