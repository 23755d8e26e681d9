"""The module that is exported: raw pixels in, unit embeddings out, so that no client can normalise wrongly."""

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from training.networks.network import ReidNetwork
from training.networks.normalisation import PixelNormalisation


class ServedModel(nn.Module):
    """A frozen copy of a network in eval mode, between pixel normalisation and L2 normalisation.

    With precision "float16" the backbone's weights and arithmetic are half precision, and so is nearly all of the work
    and of the file; pixel normalisation and everything from the pooling on stay float32, as do the outputs.
    Choose it here and not by `half()`, which would halve these as well.
    """

    def __init__(self, network: ReidNetwork, precision: Literal["float32", "float16"] = "float32") -> None:
        super().__init__()
        self.network = copy.deepcopy(network).float().eval().requires_grad_(False)
        self.normalisation = PixelNormalisation(network.mean, network.std)
        self.backbone_dtype = torch.float16 if precision == "float16" else torch.float32
        self.network.backbone.to(self.backbone_dtype)
        self.eval()

    @property
    def output_names(self) -> tuple[str, ...]:
        return ("embedding",) if self.network.viewpoint_classifier is None else ("embedding", "viewpoint")

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """crops: uint8 (N, H, W, 3), RGB -> embedding float32 (N, D) of unit length and, where the network has a
        viewpoint classifier, viewpoint float32 (N, 3): the probabilities of front, side and back."""
        embedding, viewpoint = self.network.embed(self.normalisation(crops).to(self.backbone_dtype))
        return (embedding,) if viewpoint is None else (embedding, viewpoint)
