"""The ground and the wall of a scene, with the shadows of what stands there."""

from __future__ import annotations

import math

import numpy as np

from training.data.synthetic.camera import Camera
from training.data.synthetic.fabric import linear, noise
from training.data.synthetic.lighting import sun_direction
from training.data.synthetic.raycast import View
from training.data.synthetic.scene import Scene
from training.data.synthetic.shapes import Floats


def light_surroundings(camera: Camera, scene: Scene, view: View, stands: list[tuple[float, float, float]]) -> Floats:
    """Linear light float32[H,W,3] of ground and wall, with a shadow under each (x, z, radius) in `stands`."""
    x, y, z = (view.direction(axis).astype(np.float32) for axis in range(3))
    to_ground = np.where(y < -1e-4, -view.eye[1] / np.minimum(y, -1e-4), np.inf)
    to_wall = scene.wall_at / np.maximum(z, 1e-4)
    is_ground = to_ground < to_wall
    reach = np.minimum(to_ground, to_wall).astype(np.float32)
    at_x, at_y, at_z = reach * x, view.eye[1] + reach * y, reach * z

    colour = np.empty((*x.shape, 3), np.float32)
    ground = _ground(scene, (camera.near + camera.far) / 2, at_x[is_ground], at_z[is_ground])
    sun = sun_direction(camera)
    flat = np.array(camera.sky, np.float32) + np.array(camera.sun, np.float32) * sun[1]
    shadow = _shadows(camera, at_x[is_ground], at_z[is_ground], stands)
    colour[is_ground] = ground * (flat - shadow[:, None] * np.array(camera.sun, np.float32) * (0.8 * sun[1]))
    colour[is_ground] *= (1 - 0.35 * _contact(at_x[is_ground], at_z[is_ground], stands))[:, None]
    is_wall = ~is_ground
    upright = np.array(camera.sky, np.float32) * 0.7 + np.array(camera.sun, np.float32) * max(0.0, -float(sun[2]))
    colour[is_wall] = _wall(scene, at_x[is_wall], at_y[is_wall]) * upright
    return colour


def _shadows(camera: Camera, x: Floats, z: Floats, stands: list[tuple[float, float, float]]) -> Floats:
    """How much of the sun is kept off each ground point, 0..1: a long soft ellipse away from the sun."""
    total = np.zeros(x.shape, np.float32)
    away_x, away_z = -math.sin(camera.sun_from), -math.cos(camera.sun_from)
    length = min(2.4, 1.7 / math.tan(camera.sun_height))
    for at_x, at_z, radius in stands:
        along = (x - at_x) * away_x + (z - at_z) * away_z - length / 2
        across = (x - at_x) * away_z - (z - at_z) * away_x
        inside = 1.3 - (along / (length / 2 + radius)) ** 2 - (across / (radius * 0.9)) ** 2
        np.maximum(total, np.clip(inside * 1.6, 0, 1), out=total)
    return total


def _contact(x: Floats, z: Floats, stands: list[tuple[float, float, float]]) -> Floats:
    total = np.zeros(x.shape, np.float32)
    for at_x, at_z, radius in stands:
        np.maximum(total, np.exp(-((x - at_x) ** 2 + (z - at_z) ** 2) / (1.2 * radius) ** 2), out=total)
    return total


def _ground(scene: Scene, middle: float, x: Floats, z: Floats) -> Floats:
    # dapples and worn patches of a few metres, lest the ground alone should tell the camera
    patches = 1 + 0.3 * noise(x * 0.11, z * 0.11, scene.seed + 5)[:, None]
    across = x * math.cos(scene.edge_way) - (z - middle) * math.sin(scene.edge_way)
    here = (across < scene.edge)[:, None]
    colour = np.where(here, _paved(scene, scene.ground, x, z), _paved(scene, scene.beside, x, z))
    kerb = np.abs(across - scene.edge) < 0.07
    colour[kerb] = linear((0.62, 0.62, 0.6))
    return np.asarray(colour * np.maximum(0.4, patches))


def _paved(scene: Scene, kind: str, x: Floats, z: Floats) -> Floats:
    base, second = linear(scene.ground_colour), linear(scene.ground_second)
    grain = noise(x * 0.6, z * 0.6, scene.seed)[:, None]
    if kind == "grass":
        return np.asarray(linear((0.36, 0.41, 0.28)) * (1 + 0.3 * grain))
    if kind == "asphalt":
        return np.asarray(base * 0.7 * (1 + 0.18 * grain))
    column, row = np.floor(x / scene.paving), np.floor(z / scene.paving)
    edge_x, edge_z = x / scene.paving - column, z / scene.paving - row
    joint = np.minimum(np.minimum(edge_x, 1 - edge_x), np.minimum(edge_z, 1 - edge_z)) < 0.04
    if kind == "tiles":
        mixed = np.where(((column + row) % 2 == 0)[:, None], base, second)
    else:
        mixed = base * (1 + 0.18 * (noise(column * 0.37, row * 0.53, scene.seed) > 0))[:, None]
    return np.asarray(mixed * (1 + 0.12 * grain) * np.where(joint, 0.6, 1.0)[:, None].astype(np.float32))


def _wall(scene: Scene, x: Floats, y: Floats) -> Floats:
    base, second = linear(scene.wall_colour), linear(scene.wall_second)
    grain = noise(x * 0.4, y * 0.4, scene.seed + 1)[:, None]
    if scene.wall == "hedge":
        return np.asarray(linear((0.2, 0.34, 0.16)) * np.maximum(0.25, 1 + 0.55 * noise(x, y, scene.seed))[:, None])
    if scene.wall == "plaster":
        mixed = np.where((y < 0.5)[:, None], second, base)
    elif scene.wall == "brick":
        row = np.floor(y / 0.16)
        shade = noise(np.floor(x / 0.4 + 0.5 * (row % 2)) * 0.31, row * 0.43, scene.seed)[:, None]
        mortar = (y / 0.16 - row < 0.14)[:, None]
        mixed = np.where(mortar, second, linear((0.5, 0.28, 0.2)) * (1 + 0.2 * shade))
    elif scene.wall == "windows":
        bay = x / scene.bay - np.floor(x / scene.bay)
        glass = ((bay > 0.15) & (bay < 0.85) & (y > 0.35) & (y < 2.6))[:, None]
        shine = np.maximum(0.05, 0.35 + 0.3 * noise(np.floor(x / scene.bay) * 0.7 + bay * 0.3, y * 0.2, scene.seed))
        mixed = np.where(glass, shine[:, None] * linear((0.55, 0.65, 0.75)), base)
    else:
        bay = np.floor(x / scene.bay)
        share = (0.5 + 0.5 * noise(bay * 0.73, bay * 0.19, scene.seed).clip(-1, 1))[:, None]
        mixed = base * share + second * (1 - share)
    return np.asarray(mixed * np.maximum(0.2, 1 + 0.14 * grain))
