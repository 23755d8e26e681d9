"""The viewpoint-aware objective: L_va = L_y + w_v·L_v + beta·L_R."""

from training.losses.adaptive_smoothing import AdaptiveSmoothingLoss
from training.losses.angular_regularisation import AngularRegularisationLoss
from training.losses.batch import Loss, LossInputs, LossParts
from training.losses.errors import LossError
from training.losses.label_smoothing import LabelSmoothingLoss
from training.losses.view_classes import ViewClasses
from training.losses.viewpoint import ViewpointLoss


class ViewpointAwareLoss(Loss):
    """L_va = L_y + w_v·L_v + beta·L_R. Parts: `identity`, `viewpoint` and, unless beta is 0, `angular`.

    identity: L_y, any loss on the identity logits; viewpoint: L_v; angular: L_R, needed unless beta is 0.
    w_v and beta are plain attributes: a trainer that schedules them assigns to them between epochs.
    """

    def __init__(
        self,
        identity: Loss,
        viewpoint: ViewpointLoss,
        angular: AngularRegularisationLoss | None = None,
        *,
        w_v: float = 1.0,
        beta: float = 0.0,
    ) -> None:
        super().__init__()
        if w_v < 0 or beta < 0:
            raise LossError(f"w_v {w_v} and beta {beta} are weights of terms to minimise: neither can be negative")
        if beta > 0 and angular is None:
            raise LossError(f"beta is {beta} but there is no angular regularisation to weight: pass one, or beta=0")
        self.identity = identity
        self.viewpoint = viewpoint
        self.angular = angular
        self.w_v = w_v
        self.beta = beta

    @classmethod
    def poster(cls, view_classes: ViewClasses, *, alpha: float = 0.25, beta: float = 0.1) -> "ViewpointAwareLoss":
        """The objective as the authors' poster states it, all three terms, w_v = 1.

        No source gives beta; 0.1 is the weight that the released code holds ready for its own relative of L_R.
        """
        return cls(
            AdaptiveSmoothingLoss(alpha),
            ViewpointLoss(view_classes, alpha),
            AngularRegularisationLoss(view_classes),
            beta=beta,
        )

    @classmethod
    def published(cls, view_classes: ViewClasses) -> "ViewpointAwareLoss":
        """What the logs of the published Market-1501 numbers show: fixed soft labels for both heads and no L_R.

        Use `ViewClasses.occurring`. In those runs w_v starts at 1 and is 0.3 from epoch 81 on.
        """
        return cls(LabelSmoothingLoss(0.1), ViewpointLoss(view_classes, rule="published"))

    def forward(self, inputs: LossInputs) -> LossParts:
        parts = self.identity(inputs)
        parts["viewpoint"] = self.w_v * self.viewpoint(inputs)["viewpoint"]
        if self.angular is not None and self.beta > 0:
            parts["angular"] = self.beta * self.angular(inputs)["angular"]
        return parts

    def extra_repr(self) -> str:
        return f"w_v={self.w_v}, beta={self.beta}"
