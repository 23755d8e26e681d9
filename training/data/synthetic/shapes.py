"""The solids that everything in a synthetic picture is made of: ellipsoids, tapered tubes and soft-edged boxes.

Every solid lives in a local frame of three orthogonal axes. Ellipsoids and tubes are one family there, the quadric
``x^2 + z^2 + a y^2 + b y + c = 0`` clipped to ``lo <= y <= hi``; a box is the cube ``[-1, 1]^3``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = tuple[float, float, float]
Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Shapes:
    """P solids in one frame of reference.

    axes float64[P,3,3]: row i is local axis i, its length the metres of one local unit. centre float64[P,3].
    quadric float64[P,3]: a, b, c. clip float64[P,2]: lo, hi. half float64[P]: half extent along local x and z.
    box bool[P]. open bool[P]: the inside shows where the clip has cut the surface. material int64[P].
    cloth float64[P,2,3]: scale and offset that turn local coordinates into metres on the body.
    """

    axes: Floats
    centre: Floats
    quadric: Floats
    clip: Floats
    half: Floats
    box: npt.NDArray[np.bool_]
    open: npt.NDArray[np.bool_]
    material: Integers
    cloth: Floats

    def __post_init__(self) -> None:
        for field in fields(self):
            getattr(self, field.name).flags.writeable = False

    def __len__(self) -> int:
        return len(self.centre)

    def placed(self, x: float, z: float, facing: float) -> Shapes:
        """The same solids standing at ground point (x, z), their local front turned to angle `facing` (radians, from
        world z towards world x)."""
        sine, cosine = math.sin(facing), math.cos(facing)
        return Shapes(
            _turned(self.axes, sine, cosine),
            _turned(self.centre, sine, cosine) + np.array([x, 0.0, z]),
            self.quadric,
            self.clip,
            self.half,
            self.box,
            self.open,
            self.material,
            self.cloth,
        )

    def corners(self) -> Floats:
        """float64[P,8,3]: the corners of each solid's own bounding box."""
        signs = np.array([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)], np.float64)
        half = self.half[:, None]
        low, high = self.clip[:, :1], self.clip[:, 1:]
        local = np.stack(
            [half * (2 * signs[:, 0] - 1), low + (high - low) * signs[:, 1], half * (2 * signs[:, 2] - 1)], axis=-1
        )
        return np.asarray(self.centre[:, None] + (local[..., None] * self.axes[:, None]).sum(axis=2))


def _turned(vectors: Floats, sine: float, cosine: float) -> Floats:
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.stack([cosine * x + sine * z, y, cosine * z - sine * x], axis=-1)


def together(groups: list[Shapes], material_counts: list[int]) -> Shapes:
    """One set of solids from several; material numbers are shifted so that the material lists can be chained too."""
    shifts = np.cumsum([0, *material_counts[:-1]])
    return Shapes(
        np.concatenate([g.axes for g in groups]),
        np.concatenate([g.centre for g in groups]),
        np.concatenate([g.quadric for g in groups]),
        np.concatenate([g.clip for g in groups]),
        np.concatenate([g.half for g in groups]),
        np.concatenate([g.box for g in groups]),
        np.concatenate([g.open for g in groups]),
        np.concatenate([g.material + shift for g, shift in zip(groups, shifts, strict=True)]),
        np.concatenate([g.cloth for g in groups]),
    )


class ShapeList:
    """Collects solids one by one, in plain Python floats (sixty tiny numpy calls a figure would cost more than the
    ray casting), and stacks them once."""

    def __init__(self) -> None:
        self._axes: list[tuple[Vector, Vector, Vector]] = []
        self._centre: list[Vector] = []
        self._numbers: list[tuple[float, ...]] = []
        self._box: list[bool] = []
        self._open: list[bool] = []
        self._material: list[int] = []

    def ellipsoid(
        self,
        centre: Vector,
        radii: Vector,
        material: int,
        *,
        pitch: float = 0.0,
        yaw: float = 0.0,
        clip: tuple[float, float] = (-1.0, 1.0),
        cloth_height: float = 0.0,
    ) -> None:
        """`pitch` leans the ellipsoid's top towards the front, `yaw` turns it about the vertical; the clip is in units
        of the vertical radius."""
        frame = _frame(pitch, yaw)
        self._add(
            (_times(frame[0], radii[0]), _times(frame[1], radii[1]), _times(frame[2], radii[2])),
            centre,
            (1.0, 0.0, -1.0, *clip, 1.0, *radii, centre[0], cloth_height, 0.0),
            material,
            opened=clip != (-1.0, 1.0),
        )

    def tube(
        self,
        start: Vector,
        end: Vector,
        start_radius: float,
        end_radius: float,
        material: int,
        *,
        flat: float = 1.0,
        clip: tuple[float, float] = (0.0, 1.0),
        opened: bool = False,
        cloth_height: float = 0.0,
    ) -> None:
        """A tapered tube without lids; `flat` scales its depth (front to back) against its width."""
        span = (end[0] - start[0], end[1] - start[1], end[2] - start[2])
        length = math.sqrt(span[0] ** 2 + span[1] ** 2 + span[2] ** 2)
        along = _times(span, 1 / length)
        front = _unit((-along[2] * along[0], -along[2] * along[1], 1 - along[2] * along[2]))
        side = _cross(along, front)
        if side[0] < 0:
            side = _times(side, -1)
        taper = end_radius - start_radius
        self._add(
            (side, span, _times(front, flat)),
            start,
            (
                *(-taper * taper, -2 * taper * start_radius, -start_radius * start_radius),
                *clip,
                max(start_radius, end_radius),
                *(1.0, length if span[1] > 0 else -length, flat),
                *(start[0], cloth_height, 0.0),
            ),
            material,
            opened=opened,
        )

    def block(self, centre: Vector, half: Vector, material: int, *, pitch: float = 0.0, yaw: float = 0.0) -> None:
        """A box with soft edges, pitched and turned as an ellipsoid is."""
        frame = _frame(pitch, yaw)
        self._add(
            (_times(frame[0], half[0]), _times(frame[1], half[1]), _times(frame[2], half[2])),
            centre,
            (0.0, 0.0, 0.0, -1.0, 1.0, 1.0, *half, centre[0], centre[1], 0.0),
            material,
            box=True,
        )

    def _add(
        self,
        axes: tuple[Vector, Vector, Vector],
        centre: Vector,
        numbers: tuple[float, ...],
        material: int,
        *,
        box: bool = False,
        opened: bool = False,
    ) -> None:
        self._axes.append(axes)
        self._centre.append(centre)
        self._numbers.append(numbers)
        self._box.append(box)
        self._open.append(opened)
        self._material.append(material)

    def stacked(self) -> Shapes:
        numbers = np.array(self._numbers, np.float64)
        return Shapes(
            np.array(self._axes, np.float64),
            np.array(self._centre, np.float64),
            numbers[:, 0:3],
            numbers[:, 3:5],
            numbers[:, 5],
            np.array(self._box, np.bool_),
            np.array(self._open, np.bool_),
            np.array(self._material, np.int64),
            numbers[:, 6:12].reshape(-1, 2, 3),
        )


def _frame(pitch: float, yaw: float) -> tuple[Vector, Vector, Vector]:
    if pitch == 0.0 and yaw == 0.0:
        return (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
    sp, cp, sy, cy = math.sin(pitch), math.cos(pitch), math.sin(yaw), math.cos(yaw)
    return (cy, 0.0, -sy), (sp * sy, cp, sp * cy), (cp * sy, -sp, cp * cy)


def _times(v: Vector, factor: float) -> Vector:
    return v[0] * factor, v[1] * factor, v[2] * factor


def _unit(v: Vector) -> Vector:
    return _times(v, 1 / math.sqrt(v[0] ** 2 + v[1] ** 2 + v[2] ** 2))


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
