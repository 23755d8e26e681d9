import cmath
import dataclasses
import itertools
import math
import re
from collections import Counter, defaultdict

import pytest

from training.data.synthetic import SyntheticSpec, SyntheticSpecError, plan, viewpoint_of
from training.data.synthetic.schedule import FRAMES_PER_SECOND, looks_of

SPEC = SyntheticSpec(people=40, cameras=6, seed=11)


def test_equal_specs_have_equal_plans_and_other_seeds_have_others():
    assert plan(SyntheticSpec(people=5, seed=3)) == plan(SyntheticSpec(people=5, seed=3))
    ours, other = plan(SyntheticSpec(people=5, seed=3)), plan(SyntheticSpec(people=5, seed=4))
    assert {crop.yaw for crop in ours}.isdisjoint(crop.yaw for crop in other)


def test_nobody_is_both_in_training_and_in_test():
    people = defaultdict(set)
    for crop in plan(SPEC):
        people[crop.split].add(crop.person)
    assert len(people["train"]) == 20
    assert people["query"] == people["gallery"]
    assert len(people["query"]) == 20
    assert people["train"].isdisjoint(people["query"])


def test_each_test_person_is_queried_once_for_each_camera_that_saw_them():
    test_crops = [crop for crop in plan(SPEC) if crop.split != "train"]
    queries = Counter((crop.person, crop.camera) for crop in test_crops if crop.split == "query")
    assert set(queries) == {(crop.person, crop.camera) for crop in test_crops}
    assert set(queries.values()) == {1}


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_everybody_is_seen_by_two_cameras_at_least_however_unlikely(probability):
    cameras = defaultdict(set)
    for crop in plan(dataclasses.replace(SPEC, seen_probability=probability)):
        cameras[crop.person].add(crop.camera)
    numbers = [len(seen) for seen in cameras.values()]
    assert len(numbers) == 40
    assert min(numbers) >= 2
    if probability == 0.0:
        assert max(numbers) == 2
    if probability == 1.0:
        assert min(numbers) == 6


def test_a_tracklet_is_one_pass_of_one_person_in_order_of_time():
    tracklets = defaultdict(list)
    for crop in plan(dataclasses.replace(SPEC, crops_per_pass=3)):
        tracklets[crop.tracklet].append(crop)
    for crops in tracklets.values():
        assert len({(crop.person, crop.camera, crop.pass_index) for crop in crops}) == 1
        times = [crop.captured_at for crop in crops]
        assert len(times) == 3
        assert times == sorted(set(times))
        assert times[-1] - times[0] < 3


def test_a_person_is_in_one_place_at_a_time():
    spans = defaultdict(list)
    for crop in plan(SPEC):
        spans[crop.person].append((crop.captured_at, crop.tracklet))
    for moments in spans.values():
        moments.sort()
        changes = sum(one[1] != next_one[1] for one, next_one in itertools.pairwise(moments))
        assert changes == len({tracklet for _, tracklet in moments}) - 1


def test_names_have_the_form_of_market_1501_and_say_who_where_and_when():
    crops = plan(SPEC)
    assert len({crop.name for crop in crops}) == len(crops)
    for crop in crops:
        form = re.fullmatch(r"(\d{4})_c(\d)s(\d)_(\d{6})_(\d{2})\.jpg", crop.name)
        assert form is not None
        assert form[1] == crop.person
        assert f"c{form[2]}" == crop.camera
        assert int(form[4]) == pytest.approx(crop.captured_at * FRAMES_PER_SECOND)


@pytest.mark.parametrize(
    ("yaw", "viewpoint"),
    [(0, "front"), (59, "front"), (-59, "front"), (61, "side"), (-119, "side"), (121, "back"), (-180, "back")],
)
def test_the_circle_is_split_into_thirds(yaw, viewpoint):
    assert viewpoint_of(yaw) == viewpoint


def test_most_people_are_seen_from_the_front_the_side_and_the_back():
    views = defaultdict(set)
    for crop in plan(SPEC):
        assert crop.viewpoint == viewpoint_of(crop.yaw)
        views[crop.person].add(crop.viewpoint)
    assert sum(len(seen) == 3 for seen in views.values()) >= 0.75 * len(views)
    counts = Counter(crop.viewpoint for crop in plan(SPEC))
    assert min(counts.values()) > len(plan(SPEC)) / 5


def test_cameras_tend_to_see_different_views():
    front_shares = defaultdict(list)
    for crop in plan(SPEC):
        front_shares[crop.camera].append(crop.viewpoint == "side")
    shares = [sum(views) / len(views) for views in front_shares.values()]
    assert max(shares) - min(shares) > 0.4


def test_people_pass_every_camera_in_both_directions():
    headings = defaultdict(list)
    for crop in plan(SPEC):
        headings[crop.camera].append(cmath.rect(1, math.radians(crop.yaw)))
    for directions in headings.values():
        assert abs(sum(directions)) / len(directions) < 0.5


def test_some_people_are_siblings_who_differ_in_one_or_two_things_and_stay_on_one_side_of_the_split():
    people = looks_of(SPEC)
    siblings = [(number, other) for number, (_, other) in enumerate(people) if other >= 0]
    assert 5 <= len(siblings) <= 25
    for number, other in siblings:
        look, model = people[number][0], people[other][0]
        differing = [f.name for f in dataclasses.fields(look) if getattr(look, f.name) != getattr(model, f.name)]
        assert len(differing) in (1, 2)
        assert (number < SPEC.train_people) == (other < SPEC.train_people)


def test_the_first_test_person_is_never_the_sibling_of_the_last_training_person():
    for seed in range(20):
        assert looks_of(SyntheticSpec(people=4, seed=seed, sibling_share=1.0))[2][1] == -1


def test_people_who_are_no_siblings_look_different():
    looks = [look for look, other in looks_of(SyntheticSpec(people=60, sibling_share=0.0))]
    for number, look in enumerate(looks):
        for other in looks[:number]:
            same = sum(getattr(look, f.name) == getattr(other, f.name) for f in dataclasses.fields(look))
            assert same < len(dataclasses.fields(look)) - 4


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"people": 1}, "people is 1, but must lie from 2 to 9999"),
        ({"cameras": 12}, "cameras is 12, but must lie from 2 to 9: names give a camera one digit"),
        ({"seed": -1}, "seed is -1"),
        ({"size": (8, 64)}, "size's height is 8"),
        ({"size": (128,)}, "two numbers, height and width"),
        ({"seen_probability": 1.5}, "seen_probability is 1.5"),
        ({"passes": 1, "crops_per_pass": 1}, "leaves the gallery empty"),
    ],
)
def test_a_spec_that_cannot_be_made_is_refused_with_the_value_and_the_reason(wrong, words):
    with pytest.raises(SyntheticSpecError, match=re.escape(words)):
        SyntheticSpec(**wrong)


def test_one_crop_a_camera_will_do_where_nobody_is_tested():
    spec = SyntheticSpec(people=3, passes=1, crops_per_pass=1, train_fraction=1.0)
    assert {crop.split for crop in plan(spec)} == {"train"}


def test_a_size_read_from_json_is_as_good_as_a_tuple():
    assert SyntheticSpec(size=[128, 64]) == SyntheticSpec(size=(128, 64))
