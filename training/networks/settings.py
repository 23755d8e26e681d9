"""What a network is made of."""

import math
from dataclasses import dataclass
from typing import get_args

from training.networks.errors import NetworkError
from training.networks.heads import HeadKind
from training.networks.neck import Neck
from training.networks.pooling import Pooling


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Everything that fixes a network's shape: with it and a state_dict, the network stands again.

    backbone: a name that `build_backbone` knows. height, width: of the crops, in pixels.
    persons: identities in training, the classes of the identity head.
    view_classes: classes of the viewpoint head (identity x viewpoint combinations); None: no such head.
    viewpoint_classifier: whether a 3-way classifier is learned beside the embedding and exported with it.
    embedding_dim: the pooled features are reduced to this by a linear layer; None keeps the backbone's channels
    (with local_parts: 256). With local_parts it is the length of each of the six parts.
    head, scale, margin: "linear", or "hypersphere" with its scale s and angular margin m in radians, for both heads.
    local_parts: the striped variant, `va_local`.
    """

    backbone: str
    height: int
    width: int
    persons: int
    view_classes: int | None = None
    viewpoint_classifier: bool = False
    pooling: Pooling = "avg"
    embedding_dim: int | None = None
    neck: Neck = "bn"
    head: HeadKind = "linear"
    scale: float = 64.0
    margin: float = 0.2
    local_parts: bool = False

    def __post_init__(self) -> None:
        for name, least in (("height", 32), ("width", 16), ("persons", 2)):
            self._whole_number(name, getattr(self, name), least)
        for name in ("view_classes", "embedding_dim"):
            value = getattr(self, name)
            if value is not None:
                self._whole_number(name, value, 2)
        for name, kinds in (("pooling", Pooling), ("neck", Neck), ("head", HeadKind)):
            value = getattr(self, name)
            if value not in get_args(kinds):
                raise NetworkError(f"{name} is {value!r}: choose one of {', '.join(map(repr, get_args(kinds)))}")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise NetworkError(f"scale is {self.scale}: the hypersphere head needs a positive number, such as 64")
        if not 0 <= self.margin < math.pi / 2:
            raise NetworkError(f"margin is {self.margin}: choose an angle from 0 to below pi / 2 radians, such as 0.2")
        if self.local_parts and self.backbone.startswith("timm:"):
            raise NetworkError(
                f"local_parts needs a backbone that can be cut in two, and {self.backbone!r} cannot: "
                f"choose osnet, osnet_x0_5, osnet_x0_25, resnet50 or resnet101"
            )

    @staticmethod
    def _whole_number(name: str, value: object, least: int) -> None:
        if not isinstance(value, int) or value < least:
            raise NetworkError(f"{name} is {value!r}: give a whole number of at least {least}")
