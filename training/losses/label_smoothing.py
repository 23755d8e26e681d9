"""Cross-entropy against labels that are softened by a fixed amount."""

from torch import Tensor
from torch.nn import functional

from training.losses.batch import Loss, LossInputs, LossParts, required
from training.losses.errors import LossError
from training.losses.precision import widened


def label_smoothing(logits: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """mean_n -Σ_j p_j log q_j with p_y = 1 - ε + ε/K and p_j = ε/K: a scalar from logits (N, K), labels int64 (N,)."""
    return functional.cross_entropy(widened(logits), labels, label_smoothing=epsilon)


class LabelSmoothingLoss(Loss):
    """`label_smoothing` of the identity logits (N, K) and the persons (N,). Part: `identity`.

    epsilon = 0.1 is what the runs behind the published viewpoint-aware numbers print at their start.
    """

    def __init__(self, epsilon: float = 0.1) -> None:
        super().__init__()
        if not 0 <= epsilon < 1:
            raise LossError(f"epsilon {epsilon} is outside [0, 1): it is the mass taken from the true class")
        self.epsilon = epsilon

    def forward(self, inputs: LossInputs) -> LossParts:
        logits = required(inputs.id_logits, "id_logits", self)
        return {"identity": label_smoothing(logits, inputs.persons, self.epsilon)}

    def extra_repr(self) -> str:
        return f"epsilon={self.epsilon}"
