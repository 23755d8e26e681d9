"""The whole loss of a run: weighted terms on one batch, whatever parts the network has and however many processes."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.losses import UNKNOWN_VIEW, Loss, LossInputs, LossParts, gather_inputs
from training.networks import NetworkOutput, ReidNetwork


@dataclass(frozen=True, slots=True)
class Term:
    """A loss, its weight, and the weight that it has from epoch `later_from` on, counted from 1.

    every_part: whether it is the mean over all parts of a striped network, or sees the whole person only.
    """

    loss: Loss
    weight: float
    later_weight: float | None = None
    later_from: int | None = None
    every_part: bool = False

    def weight_in(self, epoch: int) -> float:
        """epoch: counted from 1."""
        if self.later_weight is not None and self.later_from is not None and epoch >= self.later_from:
            return self.later_weight
        return self.weight


class Objective(nn.Module):
    """The terms of a recipe, and the viewpoint classifier's own loss where the network has one.

    `parts = objective(...)`; `total(parts).backward()`. Every process gets the loss of the whole batch.
    """

    def __init__(self, terms: tuple[Term, ...]) -> None:
        super().__init__()
        self.terms = terms
        self.losses = nn.ModuleList(term.loss for term in terms)  # moves their buffers and saves them

    def forward(
        self, output: NetworkOutput, network: ReidNetwork, persons: Tensor, views: Tensor, epoch: int
    ) -> LossParts:
        """persons, views: int64 (N,), the labels of this process's images; network: whose heads' centres take part.
        epoch: counted from 1."""
        whole = LossInputs(
            features=output.features,
            embeddings=output.embeddings,
            persons=persons,
            views=views,
            id_logits=output.id_logits,
            view_logits=output.view_logits,
            id_weight=network.id_centres,
            view_weight=None if output.view_logits is None else network.view_centres,
        )
        gathered = gather_inputs(whole)
        stripes = [gather_inputs(stripe) for stripe in self._stripes(whole, output)]
        parts: LossParts = {}
        for term in self.terms:
            weight = term.weight_in(epoch)
            inputs = [gathered, *stripes] if term.every_part else [gathered]
            for name, value in _mean_of([term.loss(one) for one in inputs]).items():
                parts[name] = weight * value
        if output.viewpoint_logits is not None:
            logits = output.viewpoint_logits
            rows = gather_inputs(LossInputs(features=logits, embeddings=logits, persons=persons, views=views))
            parts["viewpoint_classifier"] = viewpoint_cross_entropy(rows.features, rows.views)
        return parts

    def _stripes(self, whole: LossInputs, output: NetworkOutput) -> list[LossInputs]:
        """The parts after the first, which is the whole person; none unless a term looks at them."""
        if not any(term.every_part for term in self.terms):
            return []
        return [
            replace(whole, features=features, embeddings=features, id_logits=logits, id_weight=None, view_weight=None)
            for features, logits in zip(output.part_features[1:], output.part_id_logits[1:], strict=True)
        ]


def viewpoint_cross_entropy(logits: Tensor, views: Tensor) -> Tensor:
    """mean over the images of known view of -log softmax(logits)(view); zero, with a gradient, where none is known.

    logits: float (N, 3); views: int64 (N,), -1 unknown.
    """
    known = views != UNKNOWN_VIEW
    losses = functional.cross_entropy(logits.float(), views.clamp(min=0), reduction="none")
    return torch.where(known, losses, 0.0).sum() / known.sum().clamp(min=1)


def _mean_of(several: list[LossParts]) -> LossParts:
    if len(several) == 1:
        return several[0]
    return {name: torch.stack([parts[name] for parts in several]).mean() for name in several[0]}
