"""A camera of the network: where it hangs, how it aims and crops, and what its sensor and encoder do to a picture."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from training.data.synthetic.raycast import View, looking_at
from training.data.synthetic.shapes import Floats, Shapes

GAMMA = 1 / 2.2


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera. Angles are radians, lengths metres; the eye is at (0, height, 0) and looks along +z."""

    height: float
    corridor: float  # the way people walk past: 0 towards the camera or away from it, pi/2 across the picture
    near: float  # how close and how far people pass
    far: float
    roll: float
    sun_from: float  # compass direction of the sun, from +z towards +x
    sun_height: float
    sun: tuple[float, float, float]  # linear light colours
    sky: tuple[float, float, float]
    exposure: float
    tint: tuple[float, float, float]  # white balance error
    saturation: float
    contrast: float
    haze: float
    blur: float  # of a picture 128 pixels high, in pixels
    noise: float
    quality: int  # of the JPEG


def draw_camera(seed: int, index: int, cameras: int) -> Camera:
    """Camera `index` of a network of `cameras`, whose corridors are spread over the half circle."""
    rng = np.random.default_rng([seed, 2, index])
    first = float(np.random.default_rng([seed, 3]).uniform(0, math.pi))
    warmth = float(rng.normal(0, 0.06))
    sunny = float(rng.uniform(0.1, 1.0))
    tint = np.exp(np.array([warmth, 0.0, -warmth]) + rng.normal(0, 0.025, 3))
    near = float(rng.uniform(4.5, 7.5))
    return Camera(
        height=float(rng.uniform(1.9, 4.2)),
        corridor=(first + math.pi * index / cameras + float(rng.normal(0, 0.15))) % math.pi,
        near=near,
        far=near + float(rng.uniform(2.5, 5.0)),
        roll=float(rng.normal(0, 0.02)),
        sun_from=float(rng.uniform(-math.pi, math.pi)),
        sun_height=float(rng.uniform(0.5, 1.2)),
        sun=(1.0 * sunny, 0.95 * sunny, 0.86 * sunny),
        sky=(0.5, 0.54, 0.6),
        exposure=float(np.exp(rng.normal(0.3, 0.17))),
        tint=(float(tint[0]), float(tint[1]), float(tint[2])),
        saturation=float(rng.uniform(0.75, 1.12)),
        contrast=float(rng.uniform(0.9, 1.1)),
        haze=float(rng.uniform(0.0, 0.03)),
        blur=float(rng.uniform(0.2, 0.85)),
        noise=float(rng.uniform(0.003, 0.02)),
        quality=int(rng.integers(35, 96)),
    )


def frame_person(
    camera: Camera, person: Shapes, place: tuple[float, float], size: tuple[int, int], rng: np.random.Generator
) -> View:
    """The window that a detector would cut around `person` (in world metres, standing at `place`): loose, shifted and
    sometimes cutting the legs. `size` is (rows, columns) of rays."""
    right, up, forward = looking_at((0.0, camera.height, 0.0), (place[0], 0.9, place[1]), camera.roll)
    eye = np.array([0.0, camera.height, 0.0])
    whole = View(eye, right, up, forward, np.zeros(1), np.zeros(1))
    u, v, _ = whole.project(person.corners())
    # the corners of slanted boxes overstate a figure a little, which the looseness below takes into account
    top, bottom = float(v.max()), float(v.min())
    tall, middle = top - bottom, (float(u.max()) + float(u.min())) / 2
    top += tall * float(rng.uniform(-0.02, 0.07))
    bottom -= tall * float(rng.uniform(-0.02, 0.07))
    if rng.random() < 0.08:
        bottom += tall * float(rng.uniform(0.1, 0.32))
    if rng.random() < 0.08:
        loose = tall * float(rng.uniform(0.08, 0.2))
        top, bottom = top + loose * float(rng.uniform(0, 1)), bottom - loose * float(rng.uniform(0, 1))
    # detectors' boxes are narrower than one to two and are stretched to it, but not through a stride or a bag
    wide = (top - bottom) * size[1] / size[0] * float(rng.uniform(0.76, 0.98))
    wide = max(wide, 0.93 * (float(u.max()) - float(u.min())))
    left = middle - wide / 2 + tall * float(rng.normal(0, 0.025))
    rows, columns = size
    return View(
        eye,
        right,
        up,
        forward,
        left + wide * (np.arange(columns) + 0.5) / columns,
        top - (top - bottom) * (np.arange(rows) + 0.5) / rows,
    )


def develop(camera: Camera, light: Floats, rng: np.random.Generator) -> bytes:
    """From linear light float32[H,W,3] to the JPEG that the camera sends."""
    rows = light.shape[0]
    sigma = camera.blur * rows / 128 * float(rng.uniform(0.8, 1.25))
    light = ndimage.gaussian_filter(light, (sigma, sigma, 0), mode="nearest", truncate=3.0)
    if rng.random() < 0.15:
        light = ndimage.uniform_filter1d(light, max(2, round(rows / 128 * float(rng.uniform(2, 5)))), 1, mode="nearest")
    gain = camera.exposure * float(np.exp(rng.normal(0, 0.14)))
    light = light * (np.array(camera.tint, np.float32) * np.float32(gain)) + np.float32(camera.haze)
    grey = (0.2126 * light[..., 0] + 0.7152 * light[..., 1] + 0.0722 * light[..., 2])[..., None]
    light = grey + np.float32(camera.saturation) * (light - grey)
    # a soft shoulder, since sensors do not clip bright cloth to flat white at once
    picture = (1.12 * np.maximum(light, 0) / (1 + 0.12 * np.maximum(light, 0))) ** np.float32(GAMMA)
    picture = 0.45 + np.float32(camera.contrast) * (picture - 0.45)
    picture += np.float32(camera.noise) * rng.standard_normal(picture.shape, np.float32)
    if camera.noise > 0.012:  # a cheap sensor's colour noise is coarser than its pixels
        coarse = rng.standard_normal((rows // 4 + 1, picture.shape[1] // 4 + 1, 3), np.float32)
        fine = np.repeat(np.repeat(coarse, 4, 0), 4, 1)[:rows, : picture.shape[1]]
        picture += np.float32(0.4 * camera.noise) * fine
    pixels = (picture * 255 + 0.5).clip(0, 255).astype(np.uint8)
    return _jpeg(pixels, camera.quality)


def _jpeg(pixels: npt.NDArray[np.uint8], quality: int) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "JPEG", quality=quality)
    return target.getvalue()
