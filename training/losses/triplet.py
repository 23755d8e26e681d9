"""Triplet loss over each anchor's hardest positive and hardest negative of the batch."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.batch import Loss, LossInputs, LossParts, Space
from training.losses.distances import mean_over, mining_distances, pair_distances
from training.losses.errors import LossError
from training.losses.precision import widened

Margin: TypeAlias = float | Literal["soft"]


def batch_hard_triplet(features: Tensor, persons: Tensor, margin: Margin) -> Tensor:
    """mean_i max(0, m + d(i, p) - d(i, n)), or mean_i log(1 + e^(d(i, p) - d(i, n))) with margin "soft": a scalar.

    features: float (N, D); persons: int64 (N,). p is the furthest other image of i's person, n the nearest of another
    person, d the Euclidean distance. The mean runs over the anchors that have both; zero where none has.
    """
    x = widened(features)
    mined = mining_distances(x)
    negatives = persons[:, None] != persons
    positives = (~negatives).fill_diagonal_(False)
    furthest = mined.masked_fill(~positives, -torch.inf).argmax(dim=1)
    nearest = mined.masked_fill(~negatives, torch.inf).argmin(dim=1)
    d_p, d_n = pair_distances(x, torch.stack([furthest, nearest], dim=1)).unbind(dim=1)
    gap = d_p - d_n
    losses = functional.softplus(gap) if margin == "soft" else functional.relu(gap + margin)
    return mean_over(losses, positives.any(dim=1) & negatives.any(dim=1))


class BatchHardTripletLoss(Loss):
    """`batch_hard_triplet` of the features (N, D), not normalised, and the persons (N,). Part: `triplet`.

    margin: 0.3 by default, the value of the strong baselines of the field; "soft" for the margin-free form.
    space: `features` by default, as in those baselines: before the neck, where no softmax loss has shaped the scale.
    """

    def __init__(self, margin: Margin = 0.3, space: Space = "features") -> None:
        super().__init__()
        if margin != "soft" if isinstance(margin, str) else not margin >= 0:
            raise LossError(f'margin {margin!r} is neither a number from 0 up nor "soft"')
        self.margin: Margin = margin
        self.space: Space = space

    def forward(self, inputs: LossInputs) -> LossParts:
        return {"triplet": batch_hard_triplet(inputs.within(self.space), inputs.persons, self.margin)}

    def extra_repr(self) -> str:
        return f"margin={self.margin}, space={self.space}"
