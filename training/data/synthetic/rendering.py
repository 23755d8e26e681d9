"""From an entry of the plan to its picture."""

from __future__ import annotations

import io
import math
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain

import numpy as np
import numpy.typing as npt
from PIL import Image

from training.data.synthetic.camera import Camera, develop, frame_person
from training.data.synthetic.clothing import draw_look
from training.data.synthetic.fabric import Fabric
from training.data.synthetic.figure import Gait, build_figure, fabrics_of
from training.data.synthetic.lighting import light_solids
from training.data.synthetic.raycast import View, cast
from training.data.synthetic.scene import draw_occluder, scene_of
from training.data.synthetic.schedule import SyntheticCrop, SyntheticSpec, cameras_of, looks_of
from training.data.synthetic.shapes import Floats, Shapes, together
from training.data.synthetic.surroundings import light_surroundings

SUPERSAMPLING = 2  # rays a pixel, along each side
FOOTPRINT = 0.2  # metres: the radius of the shadow at somebody's feet


def render(spec: SyntheticSpec, crop: SyntheticCrop) -> npt.NDArray[np.uint8]:
    """uint8[H,W,3] RGB: the crop as it comes out of the camera's JPEG. Depends on nothing but the two arguments."""
    return _decoded(render_jpeg(spec, crop))


def render_many(spec: SyntheticSpec, crops: Sequence[SyntheticCrop], workers: int = 1) -> npt.NDArray[np.uint8]:
    """uint8[N,H,W,3] RGB, in the order of `crops`, the same bits for any number of worker processes.

    With more than one worker the caller's main module must be importable (``if __name__ == "__main__":``), since the
    processes are spawned: forking a process that has run torch is not safe.
    """
    pictures = np.empty((len(crops), *spec.size, 3), np.uint8)
    for at, jpeg in enumerate(render_jpegs(spec, crops, workers)):
        pictures[at] = _decoded(jpeg)
    return pictures


def _decoded(jpeg: bytes) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(jpeg)) as picture:
        return np.array(picture, np.uint8)


def render_jpegs(spec: SyntheticSpec, crops: Sequence[SyntheticCrop], workers: int = 1) -> list[bytes]:
    """The cameras' JPEG files of `crops`, in their order."""
    if workers <= 1 or len(crops) < 2:
        return [render_jpeg(spec, crop) for crop in crops]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(partial(render_jpeg, spec), crops, chunksize=max(1, min(32, len(crops) // workers))))


def render_jpeg(spec: SyntheticSpec, crop: SyntheticCrop) -> bytes:
    """The file that the camera sends for this crop; `render` decodes it."""
    identity = (crop.person_index, crop.camera_index, crop.pass_index, crop.step)
    rng = np.random.default_rng([spec.seed, 6, *identity])
    camera = cameras_of(spec)[crop.camera_index]
    look, _ = looks_of(spec)[crop.person_index]
    gait = Gait(crop.gait_phase, float(rng.uniform(0.22, 0.5)), float(rng.normal(0, 0.25)))
    person = stand(build_figure(look, gait), crop.place, crop.yaw)
    height, width = spec.size
    rays = (height * SUPERSAMPLING, width * SUPERSAMPLING)
    view = frame_person(camera, person, crop.place, rays, rng)

    actors = [(person, fabrics_of(look, _cloth_seed(spec, crop)))]
    stands = [(*crop.place, FOOTPRINT)]
    for shapes, fabrics, place in _passers_by(rng, camera, crop.place):
        actors.append((shapes, fabrics))
        stands.append((*place, FOOTPRINT))
    occluder = draw_occluder(rng, crop.place)
    if occluder is not None:
        actors.append(occluder)
    return develop(camera, _light(spec, crop.camera_index, view, actors, stands), rng)


def stand(figure: Shapes, place: tuple[float, float], yaw: float) -> Shapes:
    """A figure from its body frame to `place`, turned `yaw` degrees from facing the camera."""
    return figure.placed(*place, math.atan2(-place[0], -place[1]) + math.radians(yaw))


def _cloth_seed(spec: SyntheticSpec, crop: SyntheticCrop) -> int:
    return (spec.seed * 7919 + crop.person_index * 31) % 100_003


def _passers_by(
    rng: np.random.Generator, camera: Camera, place: tuple[float, float]
) -> list[tuple[Shapes, list[Fabric], tuple[float, float]]]:
    """Sometimes somebody else: further back, or close by and partly in front."""
    chance = float(rng.random())
    if chance < 0.05:
        nearer = 1 - float(rng.uniform(0.5, 1.0)) / math.hypot(*place)
        aside = float(rng.choice([-1, 1])) * float(rng.uniform(0.3, 0.5))
        where = (place[0] * nearer + aside, place[1] * nearer)
    elif chance < 0.25:
        further = 1 + float(rng.uniform(1.5, 4.0)) / math.hypot(*place)
        where = (place[0] * further + float(rng.uniform(-0.9, 0.9)), place[1] * further)
    else:
        return []
    look = draw_look(rng)
    gait = Gait(float(rng.uniform(0, 6.28)), float(rng.uniform(0.2, 0.5)), 0.0)
    yaw = float(rng.uniform(-180, 180))
    return [(stand(build_figure(look, gait), where, yaw), fabrics_of(look, int(rng.integers(100_003))), where)]


def _light(
    spec: SyntheticSpec,
    camera_index: int,
    view: View,
    actors: list[tuple[Shapes, list[Fabric]]],
    stands: list[tuple[float, float, float]],
) -> Floats:
    """Linear light float32[H,W,3] of the whole scene through the window."""
    camera = cameras_of(spec)[camera_index]
    scene = scene_of(spec.seed, camera_index, camera)
    groups = [*actors, (scene.furniture, list(scene.fabrics))]
    fabrics = list(chain.from_iterable(group[1] for group in groups))
    hits = cast(together([group[0] for group in groups], [len(group[1]) for group in groups]), view)

    fine = np.zeros((len(view.v) * len(view.u), 4), np.float32)
    fine[hits.pixel, :3] = light_solids(camera, fabrics, hits)
    fine[hits.pixel, 3] = 1
    height, width = spec.size
    solid = fine.reshape(height, SUPERSAMPLING, width * SUPERSAMPLING * 4).mean(axis=1)
    solid = solid.reshape(height, width, SUPERSAMPLING, 4).mean(axis=2)

    coarse = replace(
        view,
        u=view.u.reshape(width, SUPERSAMPLING).mean(axis=1),
        v=view.v.reshape(height, SUPERSAMPLING).mean(axis=1),
    )
    around = light_surroundings(camera, scene, coarse, [*stands, *scene.stands])
    return np.asarray(solid[..., :3] + (1 - solid[..., 3:]) * around)
