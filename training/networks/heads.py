"""The heads that tell classes apart, identities or identity x viewpoint combinations, from embeddings.

Both keep one centre a class in `weight`, float (classes, dim): the W and U of the viewpoint-aware regulariser.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

HeadKind = Literal["linear", "hypersphere"]

_START_STD = 0.001


class LinearHead(nn.Module):
    """logits = x W^T: no bias, nothing normalised."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, dim))
        nn.init.normal_(self.weight, std=_START_STD)

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        """embeddings: float (N, dim); labels are not needed -> logits float (N, classes)."""
        return linear(embeddings, self.weight)


class HypersphereHead(nn.Module):
    """logits = scale * cos(t_j), t_j the angle between an embedding and the centre of class j.

    In training with labels y, the angle of the true class is widened by the margin (ArcFace, Deng et al. 2019):
    scale * cos(t_y + margin) while t_y + margin <= pi; past that, where the cosine would rise again,
    scale * (cos(t_y) - margin * sin(margin)), so that a wider angle never pays.
    """

    def __init__(self, dim: int, classes: int, *, scale: float, margin: float) -> None:
        super().__init__()
        self.scale, self.margin = scale, margin
        self.weight = nn.Parameter(torch.empty(classes, dim))
        nn.init.xavier_normal_(self.weight)

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        """embeddings: float (N, dim); labels: int64 (N,) or None -> logits float32 (N, classes)."""
        cosines = linear(normalize(embeddings.float()), normalize(self.weight.float()))
        if labels is None or not self.training or self.margin == 0:
            return self.scale * cosines
        true = cosines.gather(1, labels[:, None])
        # The floor keeps the square root real, and its gradient finite, for an embedding that lies on its centre.
        sines = (1 - true.square()).clamp(min=1e-7).sqrt()
        widened = true * math.cos(self.margin) - sines * math.sin(self.margin)
        beyond = true - self.margin * math.sin(self.margin)
        true = torch.where(true >= math.cos(math.pi - self.margin), widened, beyond)
        return self.scale * cosines.scatter(1, labels[:, None], true)


def build_head(kind: HeadKind, dim: int, classes: int, *, scale: float, margin: float) -> LinearHead | HypersphereHead:
    if kind == "hypersphere":
        return HypersphereHead(dim, classes, scale=scale, margin=margin)
    return LinearHead(dim, classes)
