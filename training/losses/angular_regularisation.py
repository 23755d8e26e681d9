"""L_R of viewpoint-aware re-identification: a person's view classifiers point where its identity classifier points."""

from typing import Literal, TypeAlias, get_args

from torch import Tensor
from torch.nn import functional

from training.losses.batch import Loss, LossInputs, LossParts, required
from training.losses.errors import LossError
from training.losses.precision import widened
from training.losses.view_classes import ViewClasses

PairReduction: TypeAlias = Literal["mean", "sum"]


def angular_regularisation(
    id_weight: Tensor, view_weight: Tensor, person_of: Tensor, reduction: PairReduction
) -> Tensor:
    """L_R = mean (or sum) over the classes (k, j) of 1 - cos(W_k, U_kj): a scalar in [0, 2] (or [0, 2C]).

    id_weight: float (K, D), rows W_k; view_weight: float (C, D), rows U_kj; person_of: int64 (C,), the k of each row.
    """
    cosines = functional.cosine_similarity(widened(id_weight)[person_of], widened(view_weight), dim=1)
    return (1 - cosines).mean() if reduction == "mean" else (1 - cosines).sum()


class AngularRegularisationLoss(Loss):
    """`angular_regularisation` of id_weight (K, D) and view_weight (C, D). Part: `angular`.

    The poster writes Σ cos, which minimised would push the two classifiers apart; its text wants them together, so
    1 - cos is minimised, which is zero where they agree. reduction: `sum` is the poster's; `mean` is the default so
    that beta means the same for 700 persons as for 7000. No released code holds this term (it holds an Euclidean
    relative between a person's view classifiers, never switched on, which is not offered here).
    """

    def __init__(self, view_classes: ViewClasses, reduction: PairReduction = "mean") -> None:
        super().__init__()
        if reduction not in get_args(PairReduction):
            raise LossError(f"there is no reduction {reduction!r}: choose one of {', '.join(get_args(PairReduction))}")
        self.view_classes = view_classes
        self.reduction: PairReduction = reduction

    def forward(self, inputs: LossInputs) -> LossParts:
        id_weight = required(inputs.id_weight, "id_weight", self)
        view_weight = required(inputs.view_weight, "view_weight", self)
        expected = (self.view_classes.num_persons, self.view_classes.num_classes)
        if (len(id_weight), len(view_weight)) != expected:
            raise LossError(
                f"the heads have {len(id_weight)} and {len(view_weight)} rows, where {expected[0]} persons and "
                f"{expected[1]} id x view classes need as many: build both heads from the same ViewClasses"
            )
        if id_weight.shape[1] != view_weight.shape[1]:
            raise LossError(
                f"the rows of the heads have {id_weight.shape[1]} and {view_weight.shape[1]} columns: an angle between "
                "them exists only if both heads see the same embedding"
            )
        person_of = self.view_classes.person_of
        return {"angular": angular_regularisation(id_weight, view_weight, person_of, self.reduction)}

    def extra_repr(self) -> str:
        return f"reduction={self.reduction}"
