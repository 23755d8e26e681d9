"""The backbones by name."""

import difflib
from dataclasses import dataclass

from torch import nn

from training.networks.errors import UnknownBackboneError, WeightsError
from training.networks.osnet import OSNet
from training.networks.resnet import RESNETS, ResNet
from training.networks.weights import Weights, load_state, read_state

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_OSNET_WIDTHS = {"osnet": 1.0, "osnet_x1_0": 1.0, "osnet_x0_5": 0.5, "osnet_x0_25": 0.25}
_TIMM = "timm:"

BACKBONE_NAMES = (*_OSNET_WIDTHS, *RESNETS, f"{_TIMM}NAME")
"""What `build_backbone` understands; NAME is any model name of timm."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """module: float (N, 3, H, W) -> feature map float (N, channels, h, w).
    mean, std: what its crops are normalised by, RGB, of pixels in [0, 1]."""

    module: nn.Module
    channels: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


def build_backbone(name: str, *, height: int, width: int, weights: Weights = None) -> Backbone:
    """The backbone of that name for crops of height x width pixels.

    weights: None for random values, "published" for the authors' ImageNet weights, or the path of a file.
    """
    if name in _OSNET_WIDTHS:
        if weights == "published":
            raise WeightsError(
                f"{name} has no published weights here: it is made to be trained from scratch, so leave --weights out, "
                f"or pass --weights FILE with an OSNet that this program has trained"
            )
        osnet = OSNet(_OSNET_WIDTHS[name])
        if weights is not None:
            load_state(osnet, read_state(weights), source=weights, classifiers=())
        return Backbone(osnet, osnet.channels)
    if name in RESNETS:
        return Backbone(ResNet(name, weights), ResNet.channels)
    if name.startswith(_TIMM):
        # Imported here, because timm takes seconds to import and the other backbones do without it.
        from training.networks.timm_backbone import TimmBackbone

        module = TimmBackbone(name.removeprefix(_TIMM), height=height, width=width, weights=weights)
        return Backbone(module, module.channels, module.mean, module.std)
    raise UnknownBackboneError(
        f"there is no backbone {name!r}: did you mean {_nearest(name)!r}? Known are {', '.join(BACKBONE_NAMES)}"
    )


def _nearest(name: str) -> str:
    import timm

    if timm.is_model(name):
        return f"{_TIMM}{name}"
    return difflib.get_close_matches(name, [*_OSNET_WIDTHS, *RESNETS], n=1, cutoff=0)[0]
