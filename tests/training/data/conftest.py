"""Small made-up folders of pictures."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models import InputSpec
from training.data import Dataset, Picture, Split

MakePicture = Callable[..., Path]
MakeMarket = Callable[..., Path]


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_picture() -> MakePicture:
    """Writes noise, other noise for every seed, as an image file, and the folders above it."""

    def make(path: Path, seed: int = 0, size: tuple[int, int] = (12, 6)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(noise).save(path)
        return path

    return make


@pytest.fixture
def make_market(tmp_path: Path, make_picture: MakePicture) -> MakeMarket:
    """A folder of Market-1501's form; every picture differs."""

    def make(
        train: Iterable[str] = ("0002_c1s1_000451_03.jpg", "0002_c2s1_000452_01.jpg", "0007_c3s2_000001_01.jpg"),
        query: Iterable[str] = ("0001_c1s1_001051_00.jpg",),
        gallery: Iterable[str] = (
            "-1_c1s1_000401_03.jpg",
            "0000_c1s1_000151_01.jpg",
            "0001_c1s1_002301_00.jpg",
            "0001_c2s1_000301_00.jpg",
        ),
        root: Path = tmp_path / "market",
        **more: Iterable[str],
    ) -> Path:
        parts = {"bounding_box_train": train, "query": query, "bounding_box_test": gallery, **more}
        seed = 0
        for folder, names in parts.items():
            (root / folder).mkdir(parents=True)
            for name in names:
                seed += 1
                make_picture(root / folder / name, seed)
        return root

    return make


@pytest.fixture
def small_spec() -> InputSpec:
    return InputSpec(name="crops", height=8, width=4, resize="bilinear", layout="NHWC", dtype="uint8", colour="RGB")


@pytest.fixture
def make_split() -> Callable[[Iterable[tuple[str, str | None]]], Split]:
    """A split of (person, camera) pairs, whose files do not exist."""

    def make(rows: Iterable[tuple[str, str | None]]) -> Split:
        return Split(
            tuple(Picture(Path(f"{at}.jpg"), f"{at}.jpg", person, camera) for at, (person, camera) in enumerate(rows))
        )

    return make


@pytest.fixture
def names_of() -> Callable[[Split], list[str]]:
    return lambda split: [picture.name for picture in split]


@pytest.fixture
def all_pictures() -> Callable[[Dataset], list[Picture]]:
    return lambda dataset: [picture for split in dataset.splits.values() for picture in split]
