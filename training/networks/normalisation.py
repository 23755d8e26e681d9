"""Pixels as they come from the decoder to what a network takes; the same arithmetic in training and in the export."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PixelNormalisation(nn.Module):
    """`(pixel / 255 - mean) / std` for each colour, and channels first.

    mean, std: RGB, of pixels in [0, 1].
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        means, stds = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
        self.register_buffer("scale", (1 / (255 * stds)).float().view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (-means / stds).float().view(1, 3, 1, 1), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """crops: uint8 (N, H, W, 3), RGB -> float32 (N, 3, H, W)."""
        return crops.permute(0, 3, 1, 2).float() * self.scale + self.shift
