"""A run that takes a second: few synthetic people, tiny crops, the smallest network."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.progress import Reporter
from training.recipe import Recipe
from training.recipe_reading import recipe_from
from training.validation import Score


@pytest.fixture(scope="session")
def small_data() -> str:
    """12 people, all for training, in about 60 crops of 32 x 16."""
    return "synthetic:people=12,cameras=3,passes=1,train_fraction=1,size=32x16"


@pytest.fixture
def small_recipe() -> Recipe:
    """9 people to train on, 3 steps an epoch, 4 epochs; validated after the 2nd and the 4th."""
    return recipe_from(
        {
            "name": "small",
            "description": "for tests",
            "network": {"backbone": "osnet_x0_25", "height": 32, "width": 16},
            "loss": {"adaptive_smoothing": {}, "viewpoint": {}, "angular": {}},
            "batch": {"people": 4, "pictures": 2},
            "optimiser": {"kind": "adam", "lr": 1e-3, "clip": 5.0},
            "schedule": {"kind": "cosine", "epochs": 4, "warmup": 1},
            "augmentation": {"pad": 2},
            "run": {"ema": 0.9, "hold_out": 3, "validate_every": 2, "checkpoint_every": 1, "log_every": 1},
        }
    )


@pytest.fixture
def with_loss(small_recipe: Recipe) -> Callable[..., Recipe]:
    """The small recipe with other [loss] tables."""

    def make(**tables: object) -> Recipe:
        values = {"name": "small", "description": "for tests", "loss": tables}
        other = recipe_from(
            values
            | {"network": {"backbone": "osnet_x0_25", "height": 32, "width": 16}}
            | {"batch": {"people": 4, "pictures": 2}, "optimiser": {"kind": "adam", "lr": 1e-3}}
            | {"schedule": {"kind": "cosine", "epochs": 1}}
        )
        return replace(small_recipe, loss=other.loss)

    return make


@pytest.fixture(scope="session")
def cache_location(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("caches")


@pytest.fixture
def one_cpu_thread(cache_location: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What bit-identical runs need; and one cache of crops for all tests."""
    monkeypatch.setenv("VANTAGE_CACHE", str(cache_location))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Recorder(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.scores: dict[int, Score] = {}

    def validated(self, epoch: int, score: Score, best: bool) -> None:
        self.scores[epoch] = score

    def noted(self, sentence: str) -> None:
        self.notes.append(sentence)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def people_without_viewpoints(tmp_path: Path) -> Path:
    """A folder of noise: 12 people with 3 pictures each."""
    noise = np.random.default_rng(0)
    for person in range(12):
        (tmp_path / "people" / str(person)).mkdir(parents=True)
        for picture in range(3):
            pixels = noise.integers(0, 256, (32, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "people" / str(person) / f"{picture}.png")
    return tmp_path / "people"
