import numpy as np
import pytest
from PIL import Image

from training.data import Dataset, Picture, Split, load_dataset
from training.export import ExportError, proof_crops, served_input

SPEC = served_input(8, 4, "bilinear")


@pytest.fixture
def numbered(tmp_path):
    """A dataset of `count` pictures, each of one grey that is its number."""

    def make(count, broken=()):
        pictures = []
        for number in range(count):
            file = tmp_path / f"{number}.png"
            Image.new("RGB", (4, 8), (number % 256,) * 3).save(file)
            if number in broken:
                file.write_bytes(b"")
            pictures.append(Picture(file, file.name, f"p{number}"))
        return Dataset("numbered", train=Split(tuple(pictures)))

    return make


def greys(crops):
    return crops.pixels[:, 0, 0, 0].tolist()


def test_64_crops_are_spread_over_the_whole_dataset(numbered):
    found = greys(proof_crops(numbered(200), SPEC))
    assert len(found) == len(set(found)) == 64
    assert min(found) == 0
    assert max(found) >= 180
    assert max(np.diff(sorted(found))) <= 4


def test_broken_pictures_are_passed_over(numbered):
    broken = set(range(0, 60, 3))
    found = greys(proof_crops(numbered(100, broken), SPEC))
    assert len(set(found)) == 64
    assert not set(found) & broken


def test_fewer_than_64_readable_pictures_prove_nothing(numbered):
    with pytest.raises(ExportError, match="numbered has 63 readable pictures, and an export is proven on 64"):
        proof_crops(numbered(70, broken=range(7)), SPEC)


def test_all_splits_are_drawn_from():
    dataset = load_dataset("synthetic:people=16,cameras=4,size=16x16")
    assert len(proof_crops(dataset, SPEC, workers=1)) == 64
