"""What every loss is given, and the interface that lets the trainer drive all of them alike."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor, nn

from training.losses.errors import LossError
from training.losses.view_classes import checked_labels

LossParts: TypeAlias = dict[str, Tensor]
"""Named scalar tensors, each already weighted: their sum is the loss (`total`), their names go into the log."""

Space: TypeAlias = Literal["features", "embeddings"]
"""Where a metric loss measures distances: before or after the neck."""


@dataclass(frozen=True, slots=True, eq=False)
class LossInputs:
    """One batch as the network left it. N images, K persons, C id x view classes.

    features     (N, D)   float         before the batch-normalisation neck
    embeddings   (N, E)   float         after the neck: what is served
    persons      (N,)     int64         training label of each image; within 0..K-1 where there are id logits
    views        (N,)     int64         0 front, 1 side, 2 back, -1 unknown
    id_logits    (N, K)   float | None  the identity head's output
    view_logits  (N, C)   float | None  the viewpoint head's output, one column a class of `ViewClasses`
    id_weight    (K, F)   float | None  the identity head's rows W_k; F = E unless the heads see a part of the embedding
    view_weight  (C, F)   float | None  the viewpoint head's rows U_kj

    Made once a step, and checked here once for all losses; the check of the label values waits for the device once.
    """

    features: Tensor
    embeddings: Tensor
    persons: Tensor
    views: Tensor
    id_logits: Tensor | None = None
    view_logits: Tensor | None = None
    id_weight: Tensor | None = None
    view_weight: Tensor | None = None

    def __post_init__(self) -> None:
        n = len(self.persons)
        if n == 0:
            raise LossError("the batch is empty: a loss needs at least one image")
        for name in ("persons", "views"):
            labels: Tensor = getattr(self, name)
            if labels.shape != (n,) or labels.dtype != torch.int64:
                raise LossError(f"{name} must be int64 ({n},), one label an image, not {_described(labels)}")
        for name in ("features", "embeddings", "id_logits", "view_logits"):
            rows: Tensor | None = getattr(self, name)
            if rows is not None and (rows.ndim != 2 or len(rows) != n or not rows.is_floating_point()):
                raise LossError(f"{name} must be floating point with {n} rows, one an image, not {_described(rows)}")
        for head, name in ((self.id_logits, "id_weight"), (self.view_logits, "view_weight")):
            weight: Tensor | None = getattr(self, name)
            if weight is not None and (weight.ndim != 2 or (head is not None and len(weight) != head.shape[1])):
                classes = "one row a class" if head is None else f"{head.shape[1]} rows, one a column of its logits"
                raise LossError(f"{name} must be two-dimensional with {classes}, not {_described(weight)}")
        self._check_labels()

    def _check_labels(self) -> None:
        highest = checked_labels(self.persons, self.views)
        if self.id_logits is not None and highest >= self.id_logits.shape[1]:
            raise LossError(
                f"person label {highest} is outside the identity head, which has {self.id_logits.shape[1]} classes: "
                "number the training persons from 0 without gaps, or build the head for more of them"
            )

    def within(self, space: Space) -> Tensor:
        """The rows in which a metric loss measures: `features` (N, D) or `embeddings` (N, E)."""
        return self.features if space == "features" else self.embeddings


class Loss(nn.Module, ABC):
    """A loss of the trainer: called with `LossInputs`, it returns its weighted parts.

    parts = loss(inputs); total(parts).backward()
    """

    @abstractmethod
    def forward(self, inputs: LossInputs) -> LossParts:
        """The weighted parts, scalar tensors in float32 (float64 if the inputs are)."""

    def __call__(self, inputs: LossInputs) -> LossParts:
        return cast(LossParts, super().__call__(inputs))


def total(parts: LossParts) -> Tensor:
    """The loss itself: the sum of its weighted parts, a scalar tensor to call `backward` on."""
    return torch.stack(list(parts.values())).sum()


def required(tensor: Tensor | None, name: str, loss: nn.Module) -> Tensor:
    """`tensor`, or a sentence about which of the batch's optional tensors `loss` cannot do without."""
    if tensor is None:
        raise LossError(
            f"{type(loss).__name__} needs {name} and the batch has none: give the network the head that makes it, "
            "or choose a loss that does not use it"
        )
    return tensor


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
