import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import DataError, Dataset, Picture, Split, hold_out, load_dataset, query_and_gallery

ROWS = [(f"p{person}", f"c{camera}") for person in range(8) for camera in range(3) for _ in range(2)]


@pytest.fixture
def dataset(make_split):
    return Dataset("d", train=make_split(ROWS), query=make_split([("q", "c1")]), gallery=make_split([("q", "c2")]))


def test_held_out_people_leave_training_whole_and_nothing_is_lost(dataset):
    held = hold_out(dataset, people=3, seed=1)
    assert len(held.train.people) == 5
    assert len(set(held.query.people) | set(held.gallery.people)) == 3
    assert not set(held.train.people) & (set(held.query.people) | set(held.gallery.people))
    assert Counter((*held.train, *held.query, *held.gallery)) == Counter(dataset.train)


def test_the_test_split_has_no_part_in_it(dataset):
    held = hold_out(dataset, people=3)
    assert not {"q"} & {picture.person for split in held.splits.values() for picture in split}
    without = Dataset("d", train=dataset.train)
    assert hold_out(without, people=3) == held


def test_there_is_one_query_for_each_person_and_camera(dataset):
    held = hold_out(dataset, people=3)
    assert Counter((p.person, p.camera) for p in held.query) == {
        (person, f"c{camera}"): 1 for person in held.query.people for camera in range(3)
    }


def test_who_is_held_out_follows_from_the_seed_alone(dataset):
    first = hold_out(dataset, people=3, seed=1)
    assert hold_out(dataset, people=3, seed=1) == first
    assert {hold_out(dataset, people=3, seed=seed).query.people for seed in range(6)} != {first.query.people}
    shuffled = list(dataset.train)
    random.Random(0).shuffle(shuffled)
    again = hold_out(Dataset("d", train=Split(tuple(shuffled))), people=3, seed=1)
    assert set(again.query) == set(first.query)


def test_who_is_held_out_stays_when_other_pictures_come(make_split):
    fewer = Dataset("d", train=make_split(ROWS))
    more = Dataset("d", train=make_split([*ROWS, ("p1", "c2"), ("seen once", "c1")]))
    assert hold_out(more, people=3).query.people == hold_out(fewer, people=3).query.people


def test_a_fraction_is_of_the_training_people(dataset):
    assert len(hold_out(dataset, people=0.25).query.people) == 2
    assert len(hold_out(dataset, people=0.01).query.people) == 1


def test_only_people_who_can_be_found_elsewhere_are_held_out(make_split):
    rows = [("a", "c1"), ("a", "c1"), ("b", "c1"), ("b", "c2"), ("c", "c1"), ("d", "c1"), ("d", "c2")]
    dataset = Dataset("d", train=make_split(rows))
    held = hold_out(dataset, people=2)
    assert set(held.train.people) == {"a", "c"}
    with pytest.raises(DataError, match=r"2 are seen by at least two cameras.* at most 2$"):
        hold_out(dataset, people=3)
    blind = Dataset("d", train=make_split([(person, None) for person, _ in rows]))
    assert "c" in hold_out(blind, people=2).train.people


def test_two_people_remain_to_train_on(dataset):
    assert len(hold_out(dataset, people=6).train.people) == 2
    with pytest.raises(DataError, match="two must remain to train on; hold out at most 6"):
        hold_out(dataset, people=7)


@pytest.mark.parametrize("people", [0, -1, 0.0, 1.0, 1.5, True])
def test_a_number_that_means_nothing_is_refused(dataset, people):
    with pytest.raises(DataError, match="give a number from 1 up, or a fraction"):
        hold_out(dataset, people=people)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["c1", "c2", "c3"])), min_size=1, max_size=24),
    seed=st.integers(0, 5),
)
def test_every_query_finds_its_person_and_in_another_camera_if_they_were_there(rows, seed):
    pictures = [Picture(f"{at}", f"{at}", person, camera) for at, (person, camera) in enumerate(rows)]
    query, gallery = query_and_gallery(pictures, seed)
    assert Counter((*query, *gallery)) == Counter(pictures)
    for person in {picture.person for picture in pictures}:
        own = [picture for picture in pictures if picture.person == person]
        asked = [picture for picture in query if picture.person == person]
        found = [picture for picture in gallery if picture.person == person]
        assert (len(asked) > 0) == (len(own) > 1)
        assert len({picture.camera for picture in asked}) == len(asked)
        if len({picture.camera for picture in own}) > 1:
            assert all(any(hit.camera != ask.camera for hit in found) for ask in asked)


def test_synthetic_people_can_be_held_out():
    held = hold_out(load_dataset("synthetic:people=12,cameras=3"), people=2)
    assert len(held.train.people) == 4
    assert held.query.views.tolist()
