"""Euclidean distances within a batch: cheap ones to choose pairs by, exact ones with a gradient for the chosen."""

import torch
from torch import Tensor

SMALLEST_SQUARE = 1e-12
"""Below this a squared distance counts as this: the square root then has a finite gradient, namely zero."""


def mining_distances(features: Tensor) -> Tensor:
    """Distances to choose pairs by: (N, N) without a gradient from features (N, D); the diagonal is infinite.

    Taken from the differences, not from |x|² + |y|² - 2xy, whose rounding (worse with TF32) misorders near neighbours.
    """
    distances = torch.cdist(features.detach(), features.detach(), compute_mode="donot_use_mm_for_euclid_dist")
    return distances.fill_diagonal_(torch.inf)


def pair_distances(features: Tensor, partners: Tensor) -> Tensor:
    """d(i, j) = sqrt(max(|x_i - x_j|², 1e-12)) of chosen pairs, with a gradient that is finite everywhere.

    features: float (N, D); partners: int64 (N, M), the rows j for each i. Returns float (N, M), using memory N·M·D.
    """
    differences = features[:, None, :] - features[partners]
    return differences.square().sum(dim=-1).clamp(min=SMALLEST_SQUARE).sqrt()


def mean_over(values: Tensor, counted: Tensor) -> Tensor:
    """The mean of values (N,) where counted, bool (N,); zero, still with a gradient to call, where nothing is."""
    return torch.where(counted, values, 0.0).sum() / counted.sum().clamp(min=1)
