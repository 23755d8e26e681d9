import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from training.data.synthetic.camera import develop, draw_camera


@pytest.fixture
def camera():
    return replace(
        draw_camera(0, 0, 3), exposure=1.0, tint=(1.0, 1.0, 1.0), saturation=1.0, contrast=1.0, haze=0.0, blur=0.2,
        noise=0.0, quality=95,
    )  # fmt: skip


@pytest.fixture
def light():
    """A street of coloured blocks in linear light."""
    return np.random.default_rng(1).uniform(0.05, 0.6, (16, 8, 3)).astype(np.float32).repeat(8, 0).repeat(8, 1)


def developed(camera, light):
    with Image.open(io.BytesIO(develop(camera, light, np.random.default_rng(4)))) as picture:
        return np.array(picture).astype(float)


def test_a_longer_exposure_is_brighter(camera, light):
    assert developed(replace(camera, exposure=1.6), light).mean() > developed(camera, light).mean() + 20


def test_a_warm_cast_is_redder_and_less_blue(camera, light):
    warm = developed(replace(camera, tint=(1.2, 1.0, 0.8)), light)
    difference = (warm - developed(camera, light)).mean((0, 1))
    assert difference[0] > 5
    assert difference[2] < -5


def test_blur_takes_detail_away_and_noise_adds_it(camera, light):
    def detail(picture):
        return np.abs(np.diff(picture, axis=1)).mean()

    plain = detail(developed(camera, light))
    assert detail(developed(replace(camera, blur=2.0), light)) < 0.7 * plain
    assert detail(developed(replace(camera, noise=0.03), light)) > 1.5 * plain


def test_less_saturation_brings_the_channels_together(camera, light):
    grey = developed(replace(camera, saturation=0.3), light).std(axis=2).mean()
    assert grey < 0.5 * developed(camera, light).std(axis=2).mean()


def test_a_lower_quality_is_a_smaller_file(camera, light):
    sizes = [len(develop(replace(camera, quality=q), light, np.random.default_rng(4))) for q in (35, 65, 95)]
    assert sizes == sorted(set(sizes))


def test_the_cameras_of_a_network_all_differ_and_spread_their_corridors_over_the_half_circle():
    cameras = [draw_camera(3, index, 6) for index in range(6)]
    for field in ("height", "exposure", "tint", "blur", "noise", "sun_from"):
        assert len({getattr(camera, field) for camera in cameras}) == 6
    corridors = np.sort([camera.corridor for camera in cameras])
    gaps = np.diff([*corridors, corridors[0] + np.pi])
    assert gaps.max() < np.pi / 2
