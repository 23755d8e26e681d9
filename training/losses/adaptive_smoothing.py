"""L_y of viewpoint-aware re-identification: labels softened by how sure the network already is."""

from typing import Literal, TypeAlias, get_args

from torch import Tensor

from training.losses.batch import Loss, LossInputs, LossParts, required
from training.losses.cross_entropy import soft_cross_entropy
from training.losses.errors import LossError
from training.losses.precision import widened

SmoothingRule: TypeAlias = Literal["poster", "vaal", "youreid"]


def adaptive_targets(logits: Tensor, labels: Tensor, alpha: float, rule: SmoothingRule) -> Tensor:
    """The soft labels p (N, K), constants without a gradient, from logits (N, K), K >= 2, and labels int64 (N,).

    With q = softmax(logits) and ε(j) = α (1 - q(j)):

    poster    p_y = 1 - ε(y),                  p_j = ε(j) / (K-1)     sums to 1 only by chance
    vaal      p_y = 1 - ε(y) + ε(y) / (K-1),   p_j = ε(j) / (K-1)     likewise
    youreid   p_y = 1 - ε(y) + ε(y) / K,       p_j = ε(y) / K         sums to 1
    """
    q = widened(logits).detach().softmax(dim=1)
    classes = q.shape[1]
    y = labels[:, None]
    epsilon = alpha * (1 - q)
    epsilon_y = epsilon.gather(1, y)
    if rule == "youreid":
        others = (epsilon_y / classes).expand_as(q)
    else:
        others = epsilon / (classes - 1)
    own = 1 - epsilon_y if rule == "poster" else 1 - epsilon_y + others.gather(1, y)
    return others.scatter(1, y, own)


def adaptive_smoothing(logits: Tensor, labels: Tensor, alpha: float, rule: SmoothingRule) -> Tensor:
    """L_y = mean_n -Σ_j p_j log q(j), p from `adaptive_targets`: a scalar from logits (N, K), labels int64 (N,)."""
    return soft_cross_entropy(logits, adaptive_targets(logits, labels, alpha, rule)).mean()


class AdaptiveSmoothingLoss(Loss):
    """`adaptive_smoothing` of the identity logits (N, K) and the persons (N,). Part: `identity`.

    rule: three sources, three formulas. `poster` is the default because it is the only one its authors published as
    the method. Its authors' code (`vaal`) differs by the ε(y)/(K-1) that also falls on the true class; a later
    release (`youreid`) has one ε for all classes, which is the choice if the labels must be a distribution.
    In all three ε is held constant in the backward pass.

    alpha: the paper's value is not known to us; 0.25 is that of the authors' own code and run names (`youreid`: 0.2).
    """

    def __init__(self, alpha: float = 0.25, rule: SmoothingRule = "poster") -> None:
        super().__init__()
        if not 0 <= alpha <= 1:
            raise LossError(f"alpha {alpha} is outside [0, 1]: it bounds the mass taken from the true class")
        if rule not in get_args(SmoothingRule):
            raise LossError(f"there is no smoothing rule {rule!r}: choose one of {', '.join(get_args(SmoothingRule))}")
        self.alpha = alpha
        self.rule: SmoothingRule = rule

    def forward(self, inputs: LossInputs) -> LossParts:
        logits = required(inputs.id_logits, "id_logits", self)
        if logits.shape[1] < 2:
            raise LossError("adaptive smoothing needs at least 2 persons: with 1 there is no other class to soften to")
        return {"identity": adaptive_smoothing(logits, inputs.persons, self.alpha, self.rule)}

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, rule={self.rule}"
