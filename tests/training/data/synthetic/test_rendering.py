import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from training.data.synthetic import SyntheticSpec, plan, preview, render, render_jpeg, render_many
from training.data.synthetic.schedule import cameras_of

SPEC = SyntheticSpec(people=4, cameras=3, seed=5)


@pytest.fixture(scope="module")
def crops():
    return plan(SPEC)[::5]


@pytest.mark.parametrize("size", [(128, 64), (96, 48), (64, 64)])
def test_a_crop_is_an_rgb_picture_of_the_size_asked_for(size):
    spec = replace(SPEC, size=size)
    picture = render(spec, plan(spec)[0])
    assert picture.shape == (*size, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10


def test_a_crop_has_the_same_bits_alone_in_any_order_and_in_other_processes(crops):
    together = render_many(SPEC, crops)
    backwards = render_many(SPEC, crops[::-1])
    elsewhere = render_many(SPEC, crops, workers=2)
    np.testing.assert_array_equal(together, backwards[::-1])
    np.testing.assert_array_equal(together, elsewhere)
    np.testing.assert_array_equal(together[2], render(SPEC, crops[2]))


def test_every_crop_is_another_picture(crops):
    pictures = render_many(SPEC, crops).astype(int)
    for one in range(len(crops)):
        for other in range(one):
            assert np.abs(pictures[one] - pictures[other]).mean() > 3


def test_another_seed_shows_other_people_in_other_places():
    here, there = SPEC, replace(SPEC, seed=6)
    difference = render(here, plan(here)[0]).astype(int) - render(there, plan(there)[0])
    assert np.abs(difference).mean() > 10


def test_the_picture_is_what_the_camera_s_jpeg_decodes_to(crops):
    jpeg = render_jpeg(SPEC, crops[0])
    with Image.open(io.BytesIO(jpeg)) as picture:
        assert picture.format == "JPEG"
        np.testing.assert_array_equal(np.array(picture), render(SPEC, crops[0]))


def test_each_camera_compresses_with_its_own_quality():
    qualities = [camera.quality for camera in cameras_of(SPEC)]
    firsts = {crop.camera_index: crop for crop in plan(SPEC)}
    coarseness = []
    for camera in range(SPEC.cameras):
        with Image.open(io.BytesIO(render_jpeg(SPEC, firsts[camera]))) as picture:
            coarseness.append(sum(picture.quantization[0]))
    assert len(set(qualities)) == SPEC.cameras
    assert np.argsort(coarseness).tolist() == np.argsort(qualities)[::-1].tolist()


def test_two_specs_that_share_a_seed_may_differ_in_what_does_not_concern_a_crop(crops):
    np.testing.assert_array_equal(render(SPEC, crops[0]), render(replace(SPEC, passes=3), crops[0]))


def test_the_preview_has_a_row_a_person_and_a_column_a_camera_and_pass():
    sheet = preview(SPEC, people=2)
    small = preview(replace(SPEC, passes=1), people=1)
    assert sheet.width > 6 * 64
    assert sheet.height > 2 * 128
    assert small.width < sheet.width
    assert small.height < sheet.height
