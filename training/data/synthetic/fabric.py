"""The colour of a surface at a point of the body: plain, patterned, or with something painted on one side only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.data.synthetic.clothing import Colour
from training.data.synthetic.shapes import Floats

TILE = 256


@dataclass(frozen=True, slots=True)
class Fabric:
    """A material. Colours are sRGB in 0..1, lengths are metres on the body.

    What a fabric bears besides its pattern (a chest print, an open front with the shirt below, straps) is placed by
    sideways position and height, and by which side of the body is the front.
    """

    colour: Colour
    pattern: str = "plain"
    second: Colour = (0.0, 0.0, 0.0)
    period: float = 0.12
    middle: float = 0.0  # the height at which the yoke's two colours meet
    wrinkle: float = 0.14
    chest_print: str = "none"
    chest_height: float = 0.0
    open_front: Colour | None = None
    straps: Colour | None = None
    straps_from: float = 0.0
    sash: Colour | None = None
    sash_side: int = 1
    face: bool = False
    side_stripe: bool = False
    seed: int = 0

    def paint(self, local: Floats, cloth: Floats) -> Floats:
        """Linear RGB float32[N,3] at local float32[3,N] and cloth float32[3,N] coordinates."""
        across, height = cloth[0], cloth[1]
        front = local[2] > 0
        colour = np.empty((len(height), 3), np.float32)
        colour[:] = linear(self.colour)
        if self.pattern != "plain":
            colour[self._second_colour(local, across, height)] = linear(self.second)
        if self.chest_print != "none":
            colour[front & self._printed(across, height)] = linear(self.second)
        if self.open_front is not None:
            gap = 0.045 + 0.10 * np.clip(self.chest_height - height, -0.12, 0.5)
            colour[front & (np.abs(across) < gap)] = linear(self.open_front)
        if self.straps is not None:
            strap = (np.abs(np.abs(across) - 0.105) < 0.024) & (height > self.straps_from) & (local[2] > -0.4)
            colour[strap] = linear(self.straps)
        if self.sash is not None:
            # from one shoulder to the other hip, in front and behind
            line = self.chest_height + self.sash_side * -1.55 * across
            colour[np.abs(height - line) < 0.045] = linear(self.sash)
        if self.face:
            eyes = front & (np.abs(np.abs(local[0]) - 0.38) < 0.2) & (np.abs(local[1] - 0.12) < 0.11)
            mouth = front & (np.abs(local[0]) < 0.3) & (np.abs(local[1] + 0.5) < 0.07)
            colour[eyes] *= np.float32(0.16)
            colour[mouth] *= np.array([0.75, 0.4, 0.4], np.float32)
        if self.wrinkle:
            colour *= (1 + self.wrinkle * noise(across * 2 + 0.7 * height, height * 2 - local[2] * 0.3, self.seed))[
                :, None
            ]
        return colour

    def _second_colour(self, local: Floats, across: Floats, height: Floats) -> npt.NDArray[np.bool_]:
        if self.pattern == "hoops":
            return np.asarray(height % self.period < self.period * 0.45)
        if self.pattern == "pinstripes":
            return np.asarray((across + 10) % (self.period * 0.7) < self.period * 0.25)
        if self.pattern == "checks":
            rows = height % self.period < self.period * 0.5
            columns = (across + 10) % self.period < self.period * 0.5
            return np.asarray(rows ^ columns)
        if self.pattern == "yoke":
            return np.asarray(height > self.middle)
        if self.pattern == "side stripe":
            return np.asarray(np.abs(local[2]) < 0.35 * np.abs(local[0]))
        return np.asarray(noise(across * 1.7 + local[2], height * 1.7, self.seed + 7) > 0.25)

    def _printed(self, across: Floats, height: Floats) -> npt.NDArray[np.bool_]:
        above = height - self.chest_height
        if self.chest_print == "disc":
            return np.asarray(across**2 + above**2 < 0.085**2)
        if self.chest_print == "square":
            return np.asarray((np.abs(across) < 0.085) & (np.abs(above) < 0.085))
        if self.chest_print == "band":
            return np.asarray(np.abs(above) < 0.05)
        letters = (np.abs(above - 0.035) < 0.018) | (np.abs(above + 0.02) < 0.018)
        return np.asarray(letters & (np.abs(across) < 0.11))


@lru_cache(maxsize=4096)
def linear(colour: Colour) -> npt.NDArray[np.float32]:
    """sRGB to light."""
    light = (np.array(colour, np.float64) ** 2.2).astype(np.float32)
    light.flags.writeable = False
    return light


@lru_cache(maxsize=1)
def _noise_tile() -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(20240607)
    total = np.zeros((TILE, TILE))
    for smoothness, weight in ((1.5, 0.35), (4.0, 0.6), (12.0, 1.0)):
        layer = ndimage.gaussian_filter(rng.normal(size=(TILE, TILE)), smoothness, mode="wrap")
        total += weight * layer / layer.std()
    tile: npt.NDArray[np.float32] = (total / total.std()).clip(-2, 2).astype(np.float32)
    tile.flags.writeable = False
    return tile


def noise(x: npt.NDArray[Any], y: npt.NDArray[Any], seed: int) -> Floats:
    """Smooth noise in -2..2 with unit deviation; its coarsest blobs are about 0.4 units of x and y wide."""
    row = (y * 80 + (seed * 37) % TILE).astype(np.int64) % TILE
    column = (x * 80 + (seed * 101) % TILE).astype(np.int64) % TILE
    return np.asarray(_noise_tile()[row, column])
