"""Where people walk: what ground, wall and furniture a camera's scene has, and what stands in the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from training.data.synthetic.camera import Camera
from training.data.synthetic.clothing import Colour
from training.data.synthetic.fabric import Fabric
from training.data.synthetic.shapes import ShapeList, Shapes

GROUNDS = ("pavers", "asphalt", "tiles", "grass")
WALLS = ("brick", "plaster", "windows", "panels", "hedge")


@dataclass(frozen=True, slots=True)
class Scene:
    """The surroundings of one camera; the wall is the plane z = `wall_at`.

    Two grounds meet in a line that runs along `edge_way` (radians from +z towards +x), `edge` metres from the middle
    of where people walk.
    """

    ground: str
    beside: str
    edge: float
    edge_way: float
    ground_colour: Colour
    ground_second: Colour
    paving: float
    wall: str
    wall_at: float
    wall_colour: Colour
    wall_second: Colour
    bay: float
    seed: int
    furniture: Shapes
    fabrics: tuple[Fabric, ...]
    stands: tuple[tuple[float, float, float], ...]  # x, z and radius of what stands on the ground


def draw_scene(seed: int, index: int, camera: Camera) -> Scene:
    """The scene that camera `index` looks at. A network watches one place: its cameras share two kinds of ground."""
    shared = np.random.default_rng([seed, 7])
    kinds = shared.permutation(len(GROUNDS))[:2]
    ground_level, second_level = float(shared.uniform(0.45, 0.62)), float(shared.uniform(0.36, 0.55))

    rng = np.random.default_rng([seed, 4, index])
    wall_at = camera.far + float(rng.uniform(1.5, 7.0))
    shapes, fabrics, stands = _furnish(rng, camera, wall_at)
    first, second = rng.permutation(kinds)
    return Scene(
        ground=GROUNDS[int(first)],
        beside=GROUNDS[int(second)],
        edge=float(rng.uniform(-1.5, 1.5)),
        edge_way=camera.corridor + float(rng.normal(0, 0.2)),
        ground_colour=_drab(rng, ground_level - 0.05, ground_level + 0.05),
        ground_second=_drab(rng, second_level - 0.05, second_level + 0.05),
        paving=float(rng.uniform(0.4, 1.3)),
        wall=WALLS[int(rng.integers(len(WALLS)))],
        wall_at=wall_at,
        wall_colour=_drab(rng, 0.4, 0.7),
        wall_second=_drab(rng, 0.25, 0.6),
        bay=float(rng.uniform(0.7, 2.2)),
        seed=int(rng.integers(1000)),
        furniture=shapes,
        fabrics=tuple(fabrics),
        stands=tuple(stands),
    )


def _drab(rng: np.random.Generator, low: float, high: float) -> Colour:
    red, green, blue = np.clip(rng.uniform(low, high) + rng.normal(0, 0.025, 3), 0.05, 0.95)
    return float(red), float(green), float(blue)


def _furnish(
    rng: np.random.Generator, camera: Camera, wall_at: float
) -> tuple[Shapes, list[Fabric], list[tuple[float, float, float]]]:
    """Columns, bins, bushes, benches and parked cars between the walkers and the wall."""
    shapes, fabrics, stands = ShapeList(), [Fabric((0.2, 0.2, 0.2))], list[tuple[float, float, float]]()
    for slot in range(9):
        x = (slot - 4) * 1.7 + float(rng.normal(0, 0.6))
        z = float(rng.uniform(camera.far + 0.6, wall_at))
        colour = _drab(rng, 0.15, 0.8) if rng.random() < 0.7 else _bright(rng)
        fabrics.append(Fabric(colour, wrinkle=0.1, seed=int(rng.integers(1000))))
        part = len(fabrics) - 1
        kind = rng.choice(["column", "bin", "bush", "car", "bench", "sign"])
        radius = 0.3
        if kind == "column":
            radius = float(rng.uniform(0.06, 0.25))
            shapes.tube((x, 0, z), (x, 6, z), radius, radius, part)
        elif kind == "bin":
            shapes.tube((x, 0, z), (x, 1.0, z), 0.26, 0.3, part)
            shapes.ellipsoid((x, 1.0, z), (0.31, 0.09, 0.31), 0)
        elif kind == "bush":
            fabrics[part] = Fabric((0.16, float(rng.uniform(0.25, 0.42)), 0.12), wrinkle=0.45, seed=part)
            tall = float(rng.uniform(0.5, 1.3))
            radius = 0.7
            shapes.ellipsoid((x, tall * 0.5, z), (0.7, tall * 0.6, 0.6), part)
            shapes.ellipsoid((x + 0.6, tall * 0.4, z + 0.2), (0.6, tall * 0.5, 0.5), part)
        elif kind == "car":
            radius = 1.2
            shapes.block((x, 0.62, z + 1.0), (1.9, 0.38, 0.8), part)
            shapes.block((x, 1.15, z + 1.0), (1.1, 0.32, 0.72), 0)
            for wheel in (-1.2, 1.2):
                shapes.ellipsoid((x + wheel, 0.32, z + 0.2), (0.33, 0.33, 0.08), 0)
        elif kind == "bench":
            radius = 0.6
            shapes.block((x, 0.45, z), (0.8, 0.04, 0.22), part)
            shapes.block((x, 0.75, z + 0.22), (0.8, 0.2, 0.03), part)
            shapes.block((x, 0.22, z), (0.7, 0.2, 0.05), 0)
        else:
            shapes.tube((x, 0, z), (x, 2.3, z), 0.035, 0.035, 0)
            shapes.block((x, 2.0, z - 0.05), (0.35, 0.3, 0.02), part)
        stands.append((x, z, radius))
    return shapes.stacked(), fabrics, stands


def _bright(rng: np.random.Generator) -> Colour:
    red, green, blue = rng.uniform(0.15, 0.75, 3)
    return float(red), float(green), float(blue)


def draw_occluder(rng: np.random.Generator, place: tuple[float, float]) -> tuple[Shapes, list[Fabric]] | None:
    """Most often nothing; else a pole, a bin or a rail between the eye and the person at `place`."""
    chance = float(rng.random())
    if chance > 0.10:
        return None
    shapes, fabric = ShapeList(), Fabric(_drab(rng, 0.15, 0.8), wrinkle=0.06, seed=int(rng.integers(1000)))
    nearer = 1 - float(rng.uniform(0.6, 1.2)) / math.hypot(*place)
    x = place[0] * nearer + float(rng.choice([-1, 1])) * float(rng.uniform(0.08, 0.3))
    z = place[1] * nearer
    if chance < 0.05:
        radius = float(rng.uniform(0.03, 0.075))
        shapes.tube((x, 0, z), (x, 5, z), radius, radius, 0)
    elif chance < 0.085:
        shapes.tube((x, 0, z), (x, 0.85, z), 0.22, 0.26, 0)
        shapes.ellipsoid((x, 0.85, z), (0.27, 0.07, 0.27), 0)
    else:
        for height in (0.45, 0.8):
            shapes.tube((x - 3, height, z), (x + 3, height, z), 0.025, 0.025, 0)
        shapes.tube((x + 0.3, 0, z), (x + 0.3, 0.85, z), 0.03, 0.03, 0)
    return shapes.stacked(), [fabric]


@lru_cache(maxsize=64)
def scene_of(seed: int, index: int, camera: Camera) -> Scene:
    """`draw_scene`, remembered: a camera's scene does not change between its pictures."""
    return draw_scene(seed, index, camera)
