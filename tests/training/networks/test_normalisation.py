import pytest
import torch

from training.networks.normalisation import PixelNormalisation


def test_every_pixel_is_scaled_and_shifted_by_its_own_colour_and_channels_come_first() -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    crops = torch.randint(0, 256, (2, 4, 3, 3), dtype=torch.uint8)
    out = PixelNormalisation(mean, std)(crops)
    assert (out.shape, out.dtype) == ((2, 3, 4, 3), torch.float32)
    for n, y, x, c in ((0, 0, 0, 0), (1, 3, 2, 1), (0, 2, 1, 2), (1, 0, 2, 0)):
        wanted = (crops[n, y, x, c].item() / 255 - mean[c]) / std[c]
        assert out[n, c, y, x].item() == pytest.approx(wanted, abs=1e-6)


def test_it_adds_nothing_to_a_state_dict() -> None:
    assert not PixelNormalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).state_dict()
