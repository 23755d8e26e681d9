from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from training.data import CropCache, Picture, Split
from training.feeding import CropFeed
from training.validation import Validation

PERSONS, CAMERAS = "aabbab", "121212"


def split(cameras: str | None, places: list[int]) -> Split:
    return Split(
        tuple(Picture(Path(f"{i}"), f"{i}", PERSONS[i], None if cameras is None else cameras[i]) for i in places)
    )


def network_that_sees(vectors: Tensor) -> Any:
    """A crop's first pixel says which of the vectors is its embedding."""

    def embed(crops: Tensor) -> tuple[Tensor, None]:
        return torch.nn.functional.normalize(vectors[crops[:, 0, 0, 0].long()]), None

    return SimpleNamespace(embed=embed, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))


def validation(cameras: str | None) -> Validation:
    pixels = np.zeros((6, 2, 2, 3), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(6)
    cache = CropCache(pixels, split(cameras, [0, 1, 2, 3, 4, 5]), (), Path())
    return Validation(
        CropFeed(pixels, torch.device("cpu")), cache, split(cameras, [0, 3]), split(cameras, [1, 2, 4, 5])
    )


ANGLES = torch.tensor([0.0, 0.3, 0.05, 1.5, 0.1, 1.4])
VECTORS = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)


def test_it_is_the_mean_of_step_aps_with_own_camera_pictures_left_out() -> None:
    # Query 0 (a, camera 1) ranks 2 (b), 4 (a, own camera: ignored), 1 (a): its match is second.
    # Query 3 (b, camera 2) ranks 5 (b, own camera: ignored), 1 (a), 4 (a), 2 (b): its match is third.
    score = validation(CAMERAS)(network_that_sees(VECTORS))
    assert score.map == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert score.rank1 == 0


def test_without_cameras_every_picture_of_the_person_counts() -> None:
    # Query 0 finds its matches second and third, query 3 first and fourth.
    score = validation(None)(network_that_sees(VECTORS))
    assert score.map == pytest.approx(((1 / 2 + 2 / 3) / 2 + (1 / 1 + 2 / 4) / 2) / 2)
    assert score.rank1 == 0.5
