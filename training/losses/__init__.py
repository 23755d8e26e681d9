"""The losses: each is called with one `LossInputs` and returns named, weighted parts whose sum (`total`) is the loss.

The functional cores, tensors in and tensors out, stand in the file of each loss.
"""

from training.losses.adaptive_smoothing import AdaptiveSmoothingLoss
from training.losses.angular_regularisation import AngularRegularisationLoss
from training.losses.batch import Loss, LossInputs, LossParts, total
from training.losses.cross_entropy import CrossEntropyLoss
from training.losses.errors import LossError
from training.losses.gather import gather_inputs
from training.losses.label_smoothing import LabelSmoothingLoss
from training.losses.support_neighbour import SupportNeighbourLoss
from training.losses.triplet import BatchHardTripletLoss
from training.losses.view_classes import NUM_VIEWS, UNKNOWN_VIEW, ViewClasses
from training.losses.viewpoint import ViewpointLoss
from training.losses.viewpoint_aware import ViewpointAwareLoss

__all__ = [
    "NUM_VIEWS",
    "UNKNOWN_VIEW",
    "AdaptiveSmoothingLoss",
    "AngularRegularisationLoss",
    "BatchHardTripletLoss",
    "CrossEntropyLoss",
    "LabelSmoothingLoss",
    "Loss",
    "LossError",
    "LossInputs",
    "LossParts",
    "SupportNeighbourLoss",
    "ViewClasses",
    "ViewpointAwareLoss",
    "ViewpointLoss",
    "gather_inputs",
    "total",
]
