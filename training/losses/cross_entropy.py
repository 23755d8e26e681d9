"""Plain softmax cross-entropy of the identity head, and its form for soft labels, which the smoothing losses share."""

from torch import Tensor
from torch.nn import functional

from training.losses.batch import Loss, LossInputs, LossParts, required
from training.losses.precision import widened


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """mean_n -log q_n(y_n), with q = softmax(logits): a scalar from logits (N, K) and labels int64 (N,)."""
    return functional.cross_entropy(widened(logits), labels)


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """-Σ_j p_j log q_j of each sample: (N,) from logits (N, K) and soft labels p (N, K), which need not sum to 1."""
    return functional.cross_entropy(widened(logits), targets, reduction="none")


class CrossEntropyLoss(Loss):
    """`cross_entropy` of the identity logits (N, K) and the persons (N,). Part: `identity`."""

    def forward(self, inputs: LossInputs) -> LossParts:
        return {"identity": cross_entropy(required(inputs.id_logits, "id_logits", self), inputs.persons)}
