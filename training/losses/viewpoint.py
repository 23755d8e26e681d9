"""L_v of viewpoint-aware re-identification: classification into id x view, softened first within the person."""

from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from training.losses.batch import Loss, LossInputs, LossParts, required
from training.losses.cross_entropy import soft_cross_entropy
from training.losses.errors import LossError
from training.losses.precision import widened
from training.losses.view_classes import ViewClasses

ViewRule: TypeAlias = Literal["poster", "youreid", "published"]

PUBLISHED_OWN, PUBLISHED_SIBLINGS, PUBLISHED_REST = 0.6, 0.3, 0.1


def adaptive_view_targets(
    view_logits: Tensor, classes: Tensor, person_of: Tensor, alpha: float, swapped: bool
) -> Tensor:
    """The soft labels t (N, C) for the adaptive rules: constants without a gradient whose rows sum to 1.

    view_logits: float (N, C); classes: int64 (N,), the class (y, v) of each image; person_of: int64 (C,).

    With r = softmax(view_logits), m the number of y's classes (m = 3: the poster's formula) and

    ε1 = α (1 - Σ_k r(y, k))   the person is not recognised,
    ε2 = α (1 - r(y, v))       the view is not recognised,

    t = 1 - ε1 - ε2 at (y, v);   ε2 / (m-1) at y's other views;   ε1 / (C-m) at everybody else's.

    Mass that has nowhere to go stays at (y, v): ε2 when m = 1, ε1 when C = m. `swapped` exchanges ε1 and ε2.
    """
    r = widened(view_logits).detach().softmax(dim=1)
    at = classes[:, None]
    own = person_of == person_of[at]
    m, c = own.sum(dim=1, keepdim=True), len(person_of)
    person_missed = alpha * (1 - (r * own).sum(dim=1, keepdim=True)).clamp(min=0)
    view_missed = alpha * (1 - r.gather(1, at))
    epsilon1, epsilon2 = (view_missed, person_missed) if swapped else (person_missed, view_missed)
    epsilon1, epsilon2 = epsilon1 * (m < c), epsilon2 * (m > 1)
    targets = torch.where(own, epsilon2 / (m - 1).clamp(min=1), epsilon1 / (c - m).clamp(min=1))
    return targets.scatter(1, at, 1 - epsilon1 - epsilon2)


def published_view_targets(classes: Tensor, person_of: Tensor) -> Tensor:
    """The fixed soft labels t, float32 (N, C), of the runs behind the published numbers.

    classes: int64 (N,), the class (y, v) of each image; person_of: int64 (C,).

    0.6 at (y, v), 0.3 shared by y's other views, 0.1 spread evenly over all C classes. A person with a single class
    gets the 0.6 and nothing else: those rows do not sum to 1, and the losses in the authors' logs show exactly that.
    """
    at = classes[:, None]
    own = person_of == person_of[at]
    m, c = own.sum(dim=1, keepdim=True), len(person_of)
    several = (m > 1).float()
    rest = several * PUBLISHED_REST / c
    targets = torch.where(own, PUBLISHED_SIBLINGS / (m - 1).clamp(min=1), 0.0) + rest
    return targets.scatter(1, at, PUBLISHED_OWN + rest)


class ViewpointLoss(Loss):
    """L_v = mean over the images of known view of -Σ_c t_c log r(c). Part: `viewpoint`.

    Uses view_logits (N, C), persons (N,) and views (N,). Images of unknown view (-1) take no part; where no view of
    the batch is known the loss is zero, with a gradient of zeros.

    rule: `poster` (default: the only published statement of the method) and `youreid` (a later release of the
    authors' group, which has ε1 and ε2 exchanged) are `adaptive_view_targets`; the poster's K-3 is read as C-3, the
    only reading with which t sums to 1. `published` is `published_view_targets`: what the published numbers were in
    fact trained with; it does not use alpha.

    alpha: not published; 0.25 as in `AdaptiveSmoothingLoss`. At most 0.5, beyond which 1 - ε1 - ε2 could be negative.
    """

    def __init__(self, view_classes: ViewClasses, alpha: float = 0.25, rule: ViewRule = "poster") -> None:
        super().__init__()
        if not 0 <= alpha <= 0.5:
            raise LossError(f"alpha {alpha} is outside [0, 0.5]: the true class would get a negative label")
        if rule not in get_args(ViewRule):
            raise LossError(f"there is no viewpoint rule {rule!r}: choose one of {', '.join(get_args(ViewRule))}")
        self.view_classes = view_classes
        self.alpha = alpha
        self.rule: ViewRule = rule

    def forward(self, inputs: LossInputs) -> LossParts:
        logits = required(inputs.view_logits, "view_logits", self)
        if logits.shape[1] != self.view_classes.num_classes:
            raise LossError(
                f"the viewpoint head has {logits.shape[1]} columns and there are {self.view_classes.num_classes} "
                "id x view classes: build the head with view_classes.num_classes outputs"
            )
        classes = self.view_classes.classes(inputs.persons, inputs.views)
        known = classes >= 0
        logits, classes = logits[known], classes[known]
        losses = soft_cross_entropy(logits, self._targets(logits, classes))
        return {"viewpoint": losses.sum() / max(len(losses), 1)}

    def _targets(self, logits: Tensor, classes: Tensor) -> Tensor:
        person_of = self.view_classes.person_of
        if self.rule == "published":
            return published_view_targets(classes, person_of)
        return adaptive_view_targets(logits, classes, person_of, self.alpha, swapped=self.rule == "youreid")

    def extra_repr(self) -> str:
        return f"rule={self.rule}" if self.rule == "published" else f"rule={self.rule}, alpha={self.alpha}"
