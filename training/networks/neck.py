"""The batch-normalisation neck (Luo et al., 2019): metric losses see the features before it, heads after it."""

from typing import Literal

from torch import nn

Neck = Literal["bn", "none"]


def build_neck(kind: Neck, dim: int) -> nn.Module:
    """float (N, dim) -> float (N, dim). The batch normalisation has scale but no shift, which would move the
    embeddings away from the origin about which they are compared by angle."""
    if kind == "none":
        return nn.Identity()
    neck = nn.BatchNorm1d(dim)
    neck.bias.requires_grad_(False)
    return neck
