"""Ray casting: which solid does each pixel see, where on it, and how is it lit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from training.data.synthetic.shapes import Floats, Integers, Shapes, Vector

NEAREST = 0.3  # metres; nothing closer to the eye is drawn


@dataclass(frozen=True, slots=True)
class View:
    """A pinhole eye and the window it looks through. A ray is ``forward + u * right + v * up``, so its length
    parameter is the depth along `forward`.

    eye, right, up, forward float64[3] in world metres. u float64[W] left to right, v float64[H] top to bottom.
    """

    eye: Floats
    right: Floats
    up: Floats
    forward: Floats
    u: Floats
    v: Floats

    def project(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """(u, v, depth) of world points float64[...,3]."""
        away = points - self.eye
        depth = (away * self.forward).sum(axis=-1)
        safe = np.maximum(depth, 1e-3)
        return (away * self.right).sum(axis=-1) / safe, (away * self.up).sum(axis=-1) / safe, depth

    def direction(self, axis: int) -> Floats:
        """float64[H,W]: one world component of every pixel's ray."""
        rows = self.forward[axis] + self.v * self.up[axis]
        return np.asarray(rows[:, None] + (self.u * self.right[axis])[None, :])


def looking_at(eye: Vector, target: Vector, roll: float) -> tuple[Floats, Floats, Floats]:
    """Right, up and forward of an eye that looks from `eye` at `target`, rolled by `roll` radians."""
    forward = np.array(target, np.float64) - np.array(eye, np.float64)
    forward /= math.sqrt(float((forward * forward).sum()))
    # y is up and the person faces the eye along -z, so the picture's right is +x
    right = np.array([forward[2], 0.0, -forward[0]])
    right /= math.sqrt(float((right * right).sum()))
    up = np.array(
        [
            forward[1] * right[2] - forward[2] * right[1],
            forward[2] * right[0] - forward[0] * right[2],
            forward[0] * right[1] - forward[1] * right[0],
        ]
    )
    sine, cosine = math.sin(roll), math.cos(roll)
    return cosine * right + sine * up, cosine * up - sine * right, forward


@dataclass(frozen=True, slots=True)
class Hits:
    """The N pixels of an H x W picture that see a solid.

    pixel int64[N]: flat index. shape int64[N]: which solid. material int64[N].
    local float32[3,N]: the point in the solid's own frame. cloth float32[3,N]: sideways, height and depth in metres on
    the body. normal float32[3,N]: world, unit length, towards the eye. facing float32[N]: cosine to the eye.
    """

    pixel: Integers
    shape: Integers
    material: Integers
    local: Floats
    cloth: Floats
    normal: Floats
    facing: Floats


def cast(shapes: Shapes, view: View) -> Hits:
    """The nearest solid along every ray."""
    inverse = shapes.axes / (shapes.axes * shapes.axes).sum(axis=2, keepdims=True)
    origin = (inverse * (view.eye - shapes.centre)[:, None]).sum(axis=2)
    ahead = (inverse * view.forward).sum(axis=2)
    across = (inverse * view.right).sum(axis=2)
    upward = (inverse * view.up).sum(axis=2)

    depth = np.full((len(view.v), len(view.u)), np.inf)
    seen = np.full(depth.shape, -1, np.int64)
    for index, (top, bottom, left, right) in _windows(shapes, view):
        u, v = view.u[left:right], view.v[top:bottom]
        near = depth[top:bottom, left:right]
        rays = (origin[index].tolist(), ahead[index].tolist(), across[index].tolist(), upward[index].tolist())
        if shapes.box[index]:
            reach = _box_depth(rays, u, v)
        else:
            reach = _quadric_depth(rays, u, v, shapes.quadric[index], shapes.clip[index], bool(shapes.open[index]))
        nearer = reach < near
        np.copyto(near, reach, where=nearer)
        seen[top:bottom, left:right][nearer] = index

    pixel = np.flatnonzero(seen >= 0)
    which = seen.ravel()[pixel]
    row, column = np.divmod(pixel, len(view.u))
    u, v = view.u.astype(np.float32)[column], view.v.astype(np.float32)[row]
    reach = depth.ravel()[pixel].astype(np.float32)
    bases = np.stack([origin, ahead, across, upward]).astype(np.float32)
    local = np.empty((3, len(pixel)), np.float32)
    for axis in range(3):
        start, forwards, sideways, upwards = (base[:, axis].take(which) for base in bases)
        local[axis] = start + reach * (forwards + u * sideways + v * upwards)
    normal, facing = _normals(shapes, inverse.astype(np.float32), which, local, view, u, v)
    scale, offset = (shapes.cloth[:, part].astype(np.float32).T.take(which, axis=1) for part in range(2))
    return Hits(pixel, which, shapes.material[which], local, local * scale + offset, normal, facing)


def _windows(shapes: Shapes, view: View) -> list[tuple[int, tuple[int, int, int, int]]]:
    """For each solid that can be seen, the rows and columns outside of which it cannot."""
    u, v, depth = view.project(shapes.corners())
    # v runs downwards through the picture, so its array is descending
    left = np.searchsorted(view.u, u.min(axis=1))
    right = np.searchsorted(view.u, u.max(axis=1), side="right")
    top = np.searchsorted(-view.v, -v.max(axis=1))
    bottom = np.searchsorted(-view.v, -v.min(axis=1), side="right")
    visible = (left < right) & (top < bottom) & (depth.min(axis=1) > NEAREST)
    return [
        (int(i), (int(top[i]), int(bottom[i]), int(left[i]), int(right[i])))
        for i in np.flatnonzero(visible)[np.argsort(depth.min(axis=1)[visible], kind="stable")]
    ]


Rays = tuple[list[float], list[float], list[float], list[float]]  # origin, ahead, across, upward in a local frame


def _quadric_depth(rays: Rays, u: Floats, v: Floats, quadric: Floats, clip: Floats, opened: bool) -> Floats:
    (ox, oy, oz), ahead, across, upward = rays
    bend, slope, constant = quadric.tolist()
    # with o the origin and d the ray, Q(o + t d) = A t^2 + 2 B t + C. With d = rows(v) + columns(u), B is a sum of
    # one term for each row and one for each column, and A needs but one product of the two more
    rows_x, rows_y, rows_z = (ahead[axis] + v * upward[axis] for axis in range(3))
    columns_x, columns_y, columns_z = (u * across[axis] for axis in range(3))
    slant = across[0] * upward[0] + bend * across[1] * upward[1] + across[2] * upward[2]
    skew = across[0] * ahead[0] + bend * across[1] * ahead[1] + across[2] * ahead[2]
    a_rows = rows_x * rows_x + bend * rows_y * rows_y + rows_z * rows_z
    a_columns = columns_x * columns_x + bend * columns_y * columns_y + columns_z * columns_z + 2 * skew * u
    a = (2 * slant * v)[:, None] * u + a_rows[:, None] + a_columns
    tilt = bend * oy + slope / 2
    b = (ox * rows_x + tilt * rows_y + oz * rows_z)[:, None] + (ox * columns_x + tilt * columns_y + oz * columns_z)
    c = ox * ox + oz * oz + bend * oy * oy + slope * oy + constant
    inside = b * b - a * c
    root = np.sqrt(np.maximum(inside, 0.0))
    low, high = clip.tolist()
    along = rows_y[:, None] + columns_y
    reach = (-b - root) / a
    height = oy + reach * along
    hit = (inside > 0) & (height >= low) & (height <= high) & (reach > NEAREST)
    result = np.where(hit, reach, np.inf)
    if opened:
        reach = (-b + root) / a
        height = oy + reach * along
        through = (inside > 0) & ~hit & (height >= low) & (height <= high) & (reach > NEAREST)
        np.copyto(result, reach, where=through)
    return result


def _box_depth(rays: Rays, u: Floats, v: Floats) -> Floats:
    origin, ahead, across, upward = rays
    enter = np.full((len(v), len(u)), NEAREST)
    leave = np.full((len(v), len(u)), np.inf)
    for axis in range(3):
        ray = (ahead[axis] + v * upward[axis])[:, None] + (u * across[axis])[None, :]
        ray = np.where(np.abs(ray) < 1e-9, 1e-9, ray)
        one, other = (-1 - origin[axis]) / ray, (1 - origin[axis]) / ray
        np.maximum(enter, np.minimum(one, other), out=enter)
        np.minimum(leave, np.maximum(one, other), out=leave)
    return np.where(enter < leave, enter, np.inf)


def _normals(
    shapes: Shapes, inverse: Floats, which: Integers, local: Floats, view: View, u: Floats, v: Floats
) -> tuple[Floats, Floats]:
    bend, slope = shapes.quadric[:, 0].astype(np.float32), shapes.quadric[:, 1].astype(np.float32) / 2
    gradient = local.copy()
    gradient[1] = bend.take(which) * local[1] + slope.take(which)
    boxed = shapes.box.take(which)
    gradient[:, boxed] = local[:, boxed] ** 7  # rounds a box's edges for the light, not for the outline
    normal = np.empty_like(local)
    for axis in range(3):
        back = inverse[:, :, axis]
        normal[axis] = sum(gradient[i] * back[:, i].take(which) for i in range(3))
    normal /= _length(normal) + np.float32(1e-9)
    forward, right, up = (basis.astype(np.float32) for basis in (view.forward, view.right, view.up))
    ray = np.stack([forward[axis] + u * right[axis] + v * up[axis] for axis in range(3)])
    facing = -(normal[0] * ray[0] + normal[1] * ray[1] + normal[2] * ray[2]) / _length(ray)
    normal *= np.where(facing < 0, np.float32(-1), np.float32(1))
    return normal, np.abs(facing)


def _length(vectors: Floats) -> Floats:
    return np.asarray(np.sqrt(vectors[0] * vectors[0] + vectors[1] * vectors[1] + vectors[2] * vectors[2]))
