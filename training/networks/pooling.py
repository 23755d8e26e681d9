"""From a feature map to one vector: the average, or the generalised mean.

Both compute in float32 whatever the feature map's type: sums over a map, and powers even more, lose too much in half
precision.
"""

from typing import Literal

import torch
from torch import Tensor, nn

Pooling = Literal["avg", "gem"]

_GEM_START = 3.0
_GEM_FLOOR = 1e-6


class AveragePooling(nn.Module):
    """`mean(x)` over height and width."""

    def forward(self, feature_map: Tensor) -> Tensor:
        """feature_map: float (N, C, h, w) -> float32 (N, C)."""
        return feature_map.float().mean((2, 3))


class GeneralisedMeanPooling(nn.Module):
    """`mean(max(x, 1e-6)^p)^(1/p)` over height and width, with a `p` that is learned: 1 is the average of what is
    positive, and the larger p is, the nearer the maximum."""

    def __init__(self, p: float = _GEM_START) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(p))

    def forward(self, feature_map: Tensor) -> Tensor:
        """feature_map: float (N, C, h, w) -> float32 (N, C)."""
        p = self.p.float()
        return feature_map.float().clamp(min=_GEM_FLOOR).pow(p).mean((2, 3)).pow(1 / p)


def build_pooling(kind: Pooling) -> nn.Module:
    return GeneralisedMeanPooling() if kind == "gem" else AveragePooling()
