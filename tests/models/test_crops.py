import numpy as np
import pytest

from models.crops import Crops
from models.errors import EmbeddingError


def test_a_batch_cannot_be_changed_by_whoever_made_it() -> None:
    pixels = np.zeros((2, 4, 3, 3), np.uint8)
    crops = Crops(pixels)
    pixels[:] = 9
    assert crops.pixels.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        crops.pixels[0] = 1


def test_a_read_only_array_is_taken_without_a_copy() -> None:
    pixels = np.zeros((2, 4, 3, 3), np.uint8)
    pixels.flags.writeable = False
    assert Crops(pixels).pixels is pixels


def test_a_slice_is_a_batch_over_the_same_memory() -> None:
    crops = Crops(np.arange(5 * 4 * 3 * 3, dtype=np.uint8).reshape(5, 4, 3, 3))
    part = crops[1:3]
    assert len(part) == 2
    assert np.shares_memory(part.pixels, crops.pixels)
    assert (part.pixels == crops.pixels[1:3]).all()


def test_sizes_are_height_and_width() -> None:
    crops = Crops(np.zeros((0, 4, 3, 3), np.uint8))
    assert (len(crops), crops.height, crops.width) == (0, 4, 3)


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 4, 3, 3)), np.zeros((4, 3, 3), np.uint8), np.zeros((2, 3, 4, 4), np.uint8), [[1]], None]
)
def test_anything_else_is_refused(pixels: object) -> None:
    with pytest.raises(EmbeddingError, match=r"crops are uint8 of shape \(N, H, W, 3\) in RGB order, not "):
        Crops(pixels)  # type: ignore[arg-type]


def test_stacking_keeps_the_order_and_wants_one_size() -> None:
    one, two = np.full((4, 3, 3), 1, np.uint8), np.full((4, 3, 3), 2, np.uint8)
    assert Crops.stack([one, two]).pixels[:, 0, 0, 0].tolist() == [1, 2]
    with pytest.raises(EmbeddingError, match="one or more crops of one size, not 0"):
        Crops.stack([])
    with pytest.raises(EmbeddingError, match=r"not 2 of sizes \[\(4, 3, 3\), \(5, 3, 3\)\]"):
        Crops.stack([one, np.zeros((5, 3, 3), np.uint8)])
