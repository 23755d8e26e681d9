"""Which parts of a picture a score rests on: cover one place after the other, and see how much the score falls.

Needs no gradients and nothing of the network's inside, so it works through the served ONNX and for foreign models.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import BACKGROUND, Crops, Session

_ROWS, _COLUMNS = 8, 4
"""The cover is a height / 8 x width / 4 patch of a crop, moved by half its size."""


@dataclass(frozen=True, slots=True, eq=False)
class OcclusionMap:
    """score: of the whole crop. fall: float32 (H, W), by how much covering a pixel lowers it: the mean over the covers
    that lie on it, those whose middle is near counting more. Negative where covering helps."""

    score: float
    fall: NDArray[np.float32]


def occlusion_map(session: Session, crop: NDArray[np.uint8], match: NDArray[np.float32]) -> OcclusionMap:
    """crop: uint8 (H, W, 3). match: float32 (D,) of length 1, what the crop's embedding is compared with."""
    height, width = crop.shape[:2]
    places = [
        (slice(top, top + _size(height, _ROWS)), slice(left, left + _size(width, _COLUMNS)))
        for top in _starts(height, _ROWS)
        for left in _starts(width, _COLUMNS)
    ]
    pixels = np.repeat(crop[None], len(places) + 1, axis=0)
    for covered, (rows, columns) in zip(pixels[1:], places, strict=True):
        covered[rows, columns] = BACKGROUND
    scores = session.embed(Crops(pixels)).vectors @ match
    total, weights = np.zeros((2, height, width), np.float32)
    weight = np.outer(_tent(_size(height, _ROWS)), _tent(_size(width, _COLUMNS)))
    for fall, (rows, columns) in zip(scores[0] - scores[1:], places, strict=True):
        total[rows, columns] += fall * weight
        weights[rows, columns] += weight
    return OcclusionMap(float(scores[0]), total / weights)


def _tent(length: int) -> NDArray[np.float32]:
    """Rises to the middle and falls again, and is nowhere 0."""
    return np.asarray(1 + np.minimum(np.arange(length), np.arange(length)[::-1]), np.float32)


def _size(length: int, parts: int) -> int:
    return max(1, round(length / parts))


def _starts(length: int, parts: int) -> list[int]:
    """Every half patch, and the last one flush with the edge, so that every pixel is covered."""
    size = _size(length, parts)
    starts = list(range(0, length - size, max(1, size // 2)))
    return [*starts, length - size]
