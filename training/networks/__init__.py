"""Networks for person re-identification: backbones, pooling, neck, heads, and the module that is exported."""

from training.networks.backbones import BACKBONE_NAMES, Backbone, build_backbone
from training.networks.errors import NetworkError, UnknownBackboneError, WeightsError
from training.networks.network import NetworkOutput, ReidNetwork
from training.networks.normalisation import PixelNormalisation
from training.networks.served import ServedModel
from training.networks.settings import NetworkSettings
from training.networks.viewpoint_classifier import VIEWPOINTS
from training.networks.weights import Weights

__all__ = [
    "BACKBONE_NAMES",
    "VIEWPOINTS",
    "Backbone",
    "NetworkError",
    "NetworkOutput",
    "NetworkSettings",
    "PixelNormalisation",
    "ReidNetwork",
    "ServedModel",
    "UnknownBackboneError",
    "Weights",
    "WeightsError",
    "build_backbone",
]
