"""What can be seen of a person from each side, in pictures without background, blur or noise."""

import math
from dataclasses import replace

import numpy as np
import pytest

from training.data.synthetic import SyntheticSpec, plan
from training.data.synthetic.camera import draw_camera, frame_person
from training.data.synthetic.clothing import draw_look
from training.data.synthetic.figure import BAG, FACE, HAIR, SHOES, Gait, build_figure, fabrics_of
from training.data.synthetic.lighting import light_solids
from training.data.synthetic.raycast import View, cast, looking_at
from training.data.synthetic.rendering import stand
from training.data.synthetic.schedule import cameras_of, looks_of

ROWS, COLUMNS = 160, 96
STILL = Gait(phase=0.0, stride=0.0, head_turn=0.0)
STRIDING = Gait(phase=math.pi / 2, stride=0.4, head_turn=0.0)


@pytest.fixture
def look():
    plain = draw_look(np.random.default_rng(0))
    return replace(
        plain,
        stature=1.75,
        girth=1.0,
        shoulders=1.0,
        hair="short",
        headgear="none",
        beard=False,
        top="t-shirt",
        top_colour=(0.2, 0.3, 0.8),
        top_second=(0.9, 0.9, 0.1),
        top_pattern="plain",
        chest_print="none",
        inner_colour=(0.9, 0.9, 0.9),
        bottom="trousers",
        bottom_colour=(0.2, 0.2, 0.2),
        side_stripe=False,
        bag="none",
        bag_colour=(0.9, 0.1, 0.1),
        bag_side=1,
    )


def photographed(look, yaw, gait=STILL):
    """(picture float32[H,W,3], part int64[H,W] with -1 where nobody is) of one person alone, 6 m away."""
    right, up, forward = looking_at((0.0, 1.2, 0.0), (0.0, 0.9, 6.0), 0.0)
    view = View(
        np.array([0.0, 1.2, 0.0]), right, up, forward, np.linspace(-0.1, 0.1, COLUMNS), np.linspace(0.17, -0.17, ROWS)
    )
    hits = cast(stand(build_figure(look, gait), (0.0, 6.0), yaw), view)
    picture = np.zeros((ROWS * COLUMNS, 3), np.float32)
    part = np.full(ROWS * COLUMNS, -1)
    picture[hits.pixel] = light_solids(draw_camera(0, 0, 2), fabrics_of(look, 0), hits)
    part[hits.pixel] = hits.material
    return picture.reshape(ROWS, COLUMNS, 3), part.reshape(ROWS, COLUMNS)


def changed(one, other, yaw, gait=STILL):
    """How many pixels tell two looks apart."""
    return int((np.abs(photographed(one, yaw, gait)[0] - photographed(other, yaw, gait)[0]).max(axis=2) > 0.02).sum())


def test_a_backpack_covers_the_back_and_shows_only_its_straps_in_front(look):
    loaded = replace(look, bag="backpack")
    behind, before = changed(look, loaded, 180), changed(look, loaded, 0)
    assert (photographed(loaded, 180)[1] == BAG).sum() > 400
    assert (photographed(loaded, 0)[1] == BAG).sum() == 0
    assert 20 < before < behind / 4


def test_a_chest_print_shows_in_front_and_never_from_behind(look):
    for shape in ("disc", "square", "band", "lettering"):
        printed = replace(look, chest_print=shape)
        assert changed(look, printed, 0) > 50
        assert changed(look, printed, 180) == 0


def test_an_open_jacket_shows_the_shirt_below_in_front_only(look):
    jacket = replace(look, top="jacket")
    other_shirt = replace(jacket, inner_colour=(0.8, 0.1, 0.1))
    assert changed(jacket, other_shirt, 0) > 100
    assert changed(jacket, other_shirt, 180) == 0


def test_a_handbag_is_carried_on_one_side(look):
    on_right, on_left = replace(look, bag="handbag", bag_side=1), replace(look, bag="handbag", bag_side=-1)
    # who faces the camera has their right hand on the picture's left
    for carried, left_half in ((on_right, True), (on_left, False)):
        columns = np.nonzero(photographed(carried, 0)[1] == BAG)[1]
        assert len(columns) > 20
        assert (columns.mean() < COLUMNS / 2) == left_half


def test_a_shoulder_bag_s_strap_crosses_chest_and_back(look):
    strapped = replace(look, bag="shoulder bag")
    for yaw in (0, 180):
        assert changed(look, strapped, yaw) > 100


@pytest.mark.parametrize("pattern", ["hoops", "pinstripes", "checks", "yoke", "camouflage"])
def test_every_pattern_shows_from_all_sides(look, pattern):
    patterned = replace(look, top_pattern=pattern)
    for yaw in (0, 90, 180, -90):
        assert changed(look, patterned, yaw) > 60


def test_the_face_is_seen_from_the_front_and_the_hair_from_behind(look):
    front, side, back = (photographed(look, yaw)[1] for yaw in (0, 90, 180))
    assert (front == FACE).sum() > (side == FACE).sum() > 2 * (back == FACE).sum()
    assert (back == HAIR).sum() > (side == HAIR).sum() > (front == HAIR).sum() > 0


def test_somebody_at_a_yaw_of_ninety_degrees_walks_to_the_left(look):
    for yaw, leftwards in ((90, True), (-90, False)):
        part = photographed(look, yaw)[1]
        face, shoes = np.nonzero(part == FACE)[1], np.nonzero(part == SHOES)[1]
        middle = np.nonzero(part >= 0)[1].mean()
        assert (face.mean() < middle) == leftwards
        assert (shoes.mean() < middle) == leftwards


def test_a_stride_is_wide_from_the_side_and_narrow_from_the_front(look):
    def feet_apart(yaw, gait):
        columns = np.nonzero(photographed(look, yaw, gait)[1] == SHOES)[1]
        return columns.max() - columns.min()

    assert feet_apart(90, STRIDING) > 1.8 * feet_apart(90, STILL)
    assert feet_apart(0, STRIDING) < 1.3 * feet_apart(0, STILL)


@pytest.mark.parametrize("phase", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
def test_the_lower_foot_stands_on_the_ground(look, phase):
    figure = build_figure(look, Gait(phase, 0.4, 0.0))
    lowest = figure.corners()[..., 1].min()
    assert -0.09 < lowest < 0.03


def test_a_taller_person_is_taller(look):
    tall = build_figure(replace(look, stature=1.9), STILL).corners()[..., 1].max()
    assert tall == pytest.approx(build_figure(look, STILL).corners()[..., 1].max() * 1.9 / 1.75)


def test_every_sibling_can_be_told_from_their_model_in_the_same_pose():
    people = looks_of(SyntheticSpec(people=80, seed=2, sibling_share=0.6))
    pairs = [(look, people[other][0]) for look, other in people if other >= 0]
    assert len(pairs) > 15
    for look, model in pairs:
        assert any(changed(look, model, yaw) > 40 for yaw in (135, -45, 90))


def test_the_person_fills_the_window_that_is_cut_around_them():
    spec = SyntheticSpec(people=6, cameras=4, seed=8)
    shares = []
    for number, crop in enumerate(plan(spec)):
        camera = cameras_of(spec)[crop.camera_index]
        look, _ = looks_of(spec)[crop.person_index]
        figure = stand(build_figure(look, Gait(crop.gait_phase, 0.35, 0.0)), crop.place, crop.yaw)
        view = frame_person(camera, figure, crop.place, (64, 32), np.random.default_rng(number))
        rows, columns = np.divmod(cast(figure, view).pixel, 32)
        shares.append(len(rows) / (64 * 32))
        assert abs(columns.mean() - 15.5) < 6
        assert rows.min() < 16
    assert min(shares) > 0.12
    assert 0.2 < np.mean(shares) < 0.6
