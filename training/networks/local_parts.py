"""The striped variant, `va_local`.

The VA-reID paper reports a "+local" row whose definition we do not know: its text was not at hand. This is the
candidate nearest to its authors' later code: the network is cut at 1/8 of the input, and the half after the cut exists
three times. One copy sees the whole person, one the upper and the lower half, one three thirds; each of the 1 + 2 + 3
stripes is pooled and reduced to a vector of its own (256 numbers unless set otherwise) with its own neck and identity
head. The viewpoint head sits on the whole-person vector only. The test embedding is the concatenation of all six.
Left out, because their settings are not known either: dropout before the heads.
"""

import copy

from torch import Tensor, nn

from training.networks.osnet import OSNet
from training.networks.resnet import ResNet

STRIPES = (1, 2, 3)
"""Stripes of each branch, the whole person first."""

PART_DIM = 256


class StripedBackbone(nn.Module):
    """One trunk, and a tail of its own for every entry of `STRIPES`.

    The tails start as equal copies, so that published weights serve all three.
    """

    def __init__(self, backbone: OSNet | ResNet) -> None:
        super().__init__()
        self.trunk, tail = backbone.halves()
        self.tails = nn.ModuleList([tail, *(copy.deepcopy(tail) for _ in STRIPES[1:])])

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """crops: float (N, 3, H, W) -> one feature map float (N, C, H / 16, W / 16) for every branch."""
        x = self.trunk(crops)
        return tuple(tail(x) for tail in self.tails)


def horizontal_stripes(feature_map: Tensor, count: int) -> tuple[Tensor, ...]:
    """feature_map: float (N, C, h, w) -> `count` stripes float (N, C, about h / count, w), top to bottom.

    Stripe i holds the rows floor(i h / count) to ceil((i + 1) h / count): where h is no multiple, neighbours share a
    row.
    """
    rows = feature_map.shape[2]
    return tuple(feature_map[:, :, i * rows // count : -(-(i + 1) * rows // count)] for i in range(count))
