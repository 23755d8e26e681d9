"""The support-neighbour loss (Li et al., ACM MM 2018): separate the nearest neighbours, squeeze the positives."""

from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.batch import Loss, LossInputs, LossParts, Space
from training.losses.distances import mean_over, mining_distances, pair_distances
from training.losses.errors import LossError
from training.losses.precision import widened

Squeeze: TypeAlias = Literal["range", "nearest", "batch"]


def support_neighbour(features: Tensor, persons: Tensor, k: int, a: float, squeeze: Squeeze) -> tuple[Tensor, Tensor]:
    """(L_sep, L_sq), two scalars: means over the anchors that have a positive in the batch; zero where none has.

    features: float (N, D), normalised by the caller; persons: int64 (N,). For each anchor i, with d Euclidean:

    N_i  the k images nearest to i, without i; of equal distances the lower row first; all others where k > N - 1
    P_i  those of N_i with i's person; where there is none, {the nearest positive of the batch}
    Q_i  those of N_i with another person

    L_sep(i) = -log( Σ_P e^(a(1-d)) / (Σ_P e^(a(1-d)) + Σ_Q e^(a(1-d))) )
             = logsumexp_{P∪Q}(-a d) - logsumexp_P(-a d)
             = softplus( logsumexp_Q(-a d) - logsumexp_P(-a d) )         computed thus: exactly zero where Q_i is empty
    L_sq(i)  range    max_P d - min_P d, or d itself where P_i is a single image
             nearest  min_P d
             batch    like range, with every positive of the batch in place of P_i

    Memory is N·(k+2)·D.
    """
    x = widened(features)
    mined = mining_distances(x)
    positives = (persons[:, None] == persons).fill_diagonal_(False)
    has_positive = positives.any(dim=1)
    # A stable sort, because topk leaves the order of ties to the device. The infinite diagonal puts the anchor last.
    neighbours = mined.argsort(dim=1, stable=True)[:, : min(k, len(x) - 1)]
    nearest_positive = mined.masked_fill(~positives, torch.inf).argmin(dim=1, keepdim=True)
    d = pair_distances(x, torch.cat([neighbours, nearest_positive], dim=1))
    d_nearest = d[:, -1]

    # The last column is the nearest positive; it counts only where no positive is among the neighbours.
    near = positives.gather(1, neighbours)
    in_p = torch.cat([near, ~near.any(dim=1, keepdim=True)], dim=1)
    in_q = functional.pad(~near, (0, 1), value=False)
    l_sep = functional.softplus(_masked_logsumexp(-a * d, in_q) - _masked_logsumexp(-a * d, in_p))

    if squeeze == "nearest":
        l_sq = d_nearest
    elif squeeze == "range":
        d_furthest = d.masked_fill(~in_p, 0.0).amax(dim=1)
        l_sq = torch.where(in_p.sum(dim=1) > 1, d_furthest - d_nearest, d_nearest)
    else:
        furthest_positive = mined.masked_fill(~positives, -torch.inf).argmax(dim=1, keepdim=True)
        d_furthest = pair_distances(x, furthest_positive)[:, 0]
        l_sq = torch.where(positives.sum(dim=1) > 1, d_furthest - d_nearest, d_nearest)
    return mean_over(l_sep, has_positive), mean_over(l_sq, has_positive)


def _masked_logsumexp(values: Tensor, included: Tensor) -> Tensor:
    """log Σ e^v over the included values of each row: (N,) from (N, M).

    Where a row includes none, a finite stand-in for -inf: with -inf itself a step of the backward pass would be nan
    before it is masked, and anomaly detection could not be used.
    """
    return values.masked_fill(~included, torch.finfo(values.dtype).min / 4).logsumexp(dim=1)


class SupportNeighbourLoss(Loss):
    """L = L_sep + w·L_sq on the L2-normalised features (N, D) and the persons (N,). Parts: `separation`, `squeeze`.

    k, a, w: 10, 50 and 0.1, the values of the authors' scripts for Market-1501, CUHK01 and CUHK03.

    squeeze: the sources disagree. The abstract penalises the distance between the nearest and the furthest positive;
    an early version of the code takes that range among the positives within the k neighbours (`range`); the released
    code computes it and then overwrites it with the nearest positive's distance (`nearest`). `range` is the default as
    the form both the abstract and the authors' own code support; which one made the paper's table is not known.
    `batch` is the abstract read literally, over all positives of the batch.

    Two deviations from the code, which matter in degenerate batches only: exact ties among the neighbours are
    broken by row (the code's strict comparison drops them all, leaving fewer than k), and an anchor without any
    positive is left out of the mean.

    space: `features` by default; the authors' network has no neck, so for theirs both are the same.
    """

    def __init__(
        self, k: int = 10, a: float = 50.0, w: float = 0.1, squeeze: Squeeze = "range", space: Space = "features"
    ) -> None:
        super().__init__()
        if k < 1:
            raise LossError(f"k {k} is not a number of neighbours: it must be at least 1")
        if a <= 0 or w < 0:
            raise LossError(f"a {a} must be positive (it scales distances) and w {w} must not be negative (a weight)")
        if squeeze not in get_args(Squeeze):
            raise LossError(f"there is no squeeze {squeeze!r}: choose one of {', '.join(get_args(Squeeze))}")
        self.k = k
        self.a = a
        self.w = w
        self.squeeze: Squeeze = squeeze
        self.space: Space = space

    def forward(self, inputs: LossInputs) -> LossParts:
        normalised = functional.normalize(widened(inputs.within(self.space)), dim=1)
        l_sep, l_sq = support_neighbour(normalised, inputs.persons, self.k, self.a, self.squeeze)
        return {"separation": l_sep, "squeeze": self.w * l_sq}

    def extra_repr(self) -> str:
        return f"k={self.k}, a={self.a}, w={self.w}, squeeze={self.squeeze}, space={self.space}"
