"""The light on the solids of a scene."""

from __future__ import annotations

import math

import numpy as np

from training.data.synthetic.camera import Camera
from training.data.synthetic.fabric import Fabric
from training.data.synthetic.raycast import Hits
from training.data.synthetic.shapes import Floats


def light_solids(camera: Camera, fabrics: list[Fabric], hits: Hits) -> Floats:
    """Linear light float32[N,3] of the solids seen: sun, sky from above, a glow from the ground and a little rim."""
    colour = np.zeros((len(hits.pixel), 3), np.float32)
    order = np.argsort(hits.material, kind="stable")
    edges = np.searchsorted(hits.material[order], np.arange(len(fabrics) + 1))
    for number, fabric in enumerate(fabrics):
        chosen = order[edges[number] : edges[number + 1]]
        if len(chosen):
            colour[chosen] = fabric.paint(hits.local[:, chosen], hits.cloth[:, chosen])
    sun = sun_direction(camera)
    toward = hits.normal[0] * sun[0] + hits.normal[1] * sun[1] + hits.normal[2] * sun[2]
    wrapped = np.maximum((toward + 0.25) / 1.25, 0)
    above = 0.62 + 0.38 * hits.normal[1]
    edge = 0.16 * (1 - hits.facing) ** 3
    lit = (
        wrapped[:, None] * np.array(camera.sun, np.float32)
        + above[:, None] * np.array(camera.sky, np.float32)
        + (np.maximum(-hits.normal[1], 0) * np.float32(0.1))[:, None]
    )
    shade = (0.55 + 0.45 * hits.facing)[:, None]
    return np.asarray(colour * lit * shade + (edge * above)[:, None] * np.array(camera.sky, np.float32) * 0.5)


def sun_direction(camera: Camera) -> Floats:
    """float32[3]: the unit vector towards the sun."""
    level = math.cos(camera.sun_height)
    return np.array(
        [math.sin(camera.sun_from) * level, math.sin(camera.sun_height), math.cos(camera.sun_from) * level], np.float32
    )
