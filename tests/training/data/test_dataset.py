from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from training.data import DataError, Dataset, Picture, Split


def picture(name, person, camera="c1", viewpoint=None):
    return Picture(Path(name), name, person, camera, viewpoint)


SPLIT = Split((picture("a", "10"), picture("b", "9", "c2", "back"), picture("c", "10", "c1", "front")))


def test_labels_number_people_in_the_order_of_their_names_without_gaps():
    assert SPLIT.people == ("10", "9")
    assert SPLIT.persons.tolist() == ["10", "9", "10"]
    assert SPLIT.labels.tolist() == [0, 1, 0]
    assert SPLIT.labels.dtype == np.int64


def test_viewpoints_are_0_front_1_side_2_back_and_minus_1_unknown():
    side = Split((*SPLIT, picture("d", "10", viewpoint="side")))
    assert side.views.tolist() == [-1, 2, 0, 1]
    assert side.views.dtype == np.int64
    assert side.without_viewpoint == 1


def test_cameras_are_known_of_all_pictures_or_not_given_at_all():
    assert SPLIT.cameras.tolist() == ["c1", "c2", "c1"]
    assert Split((*SPLIT, picture("d", "10", None))).cameras is None


def test_a_split_is_a_sequence_that_nobody_can_change():
    assert SPLIT[1].name == "b"
    assert SPLIT[1:] == Split(SPLIT.pictures[1:])
    assert [p.name for p in SPLIT.take([2, 0])] == ["c", "a"]
    with pytest.raises(FrozenInstanceError):
        SPLIT.pictures = ()
    with pytest.raises(FrozenInstanceError):
        SPLIT[0].person = "11"


def test_an_empty_split_has_empty_labels():
    empty = Split()
    assert len(empty.labels) == len(empty.views) == len(empty.persons) == 0
    assert empty.people == ()


def test_a_dataset_without_any_picture_is_refused():
    with pytest.raises(DataError, match="no picture"):
        Dataset("nothing")


@pytest.mark.parametrize("split", ["train", "query"])
@pytest.mark.parametrize("nobody", ["-1", "0000"])
def test_pictures_of_nobody_may_only_be_in_the_gallery(split, nobody):
    stranger = Split((picture("x.jpg", nobody),))
    with pytest.raises(DataError, match=rf"x\.jpg is in {split} but shows nobody"):
        Dataset("d", **{split: stranger}, junk="-1", distractor="0000")
    assert len(Dataset("d", gallery=stranger, junk="-1", distractor="0000").gallery) == 1


def test_a_name_stands_once_in_a_split():
    twice = Split((picture("a", "1"), picture("a", "2")))
    with pytest.raises(DataError, match="gallery holds a 2 times"):
        Dataset("d", gallery=twice)
