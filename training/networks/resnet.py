"""torchvision's ResNet-50 and ResNet-101 as re-identification uses them: no classifier, and the last stage keeps the
resolution of the one before (stride 1), which doubles the feature map in both directions at no cost in parameters."""

from collections import OrderedDict
from http.client import HTTPException

import torchvision
from torch import Tensor, nn

from training.networks.errors import WeightsError
from training.networks.weights import Weights, load_state, read_state

# IMAGENET1K_V1 and not the later V2: these are the weights from which the published re-identification results started.
RESNETS = {
    "resnet50": (torchvision.models.resnet50, torchvision.models.ResNet50_Weights.IMAGENET1K_V1),
    "resnet101": (torchvision.models.resnet101, torchvision.models.ResNet101_Weights.IMAGENET1K_V1),
}


class ResNet(nn.Module):
    """float (N, 3, H, W) -> feature map (N, 2048, H / 16, W / 16). Parameters bear torchvision's names.

    name: a key of `RESNETS`.
    """

    channels = 2048

    def __init__(self, name: str, weights: Weights = None) -> None:
        super().__init__()
        build, published = RESNETS[name]
        layers = build(weights=None)
        if weights == "published":
            try:
                state = published.get_state_dict(progress=False, check_hash=True)
            except (OSError, RuntimeError, HTTPException) as error:
                raise WeightsError(
                    f"the published weights of {name} cannot be had from {published.url} ({error}): "
                    f"download that file where there is a network and pass --weights FILE"
                ) from error
            layers.load_state_dict(state)
        first = layers.layer4[0]
        first.conv2.stride = (1, 1)
        first.downsample[0].stride = (1, 1)

        self.conv1, self.bn1, self.relu, self.maxpool = layers.conv1, layers.bn1, layers.relu, layers.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = layers.layer1, layers.layer2, layers.layer3, layers.layer4
        if weights is not None and weights != "published":
            load_state(self, read_state(weights), source=weights, classifiers=("fc",))

    def halves(self) -> tuple[nn.Sequential, nn.Sequential]:
        """The network cut at 1/8 of the input: (trunk, tail). Both share this network's parameters."""
        trunk = OrderedDict(
            conv1=self.conv1,
            bn1=self.bn1,
            relu=self.relu,
            maxpool=self.maxpool,
            layer1=self.layer1,
            layer2=self.layer2,
        )
        return nn.Sequential(trunk), nn.Sequential(OrderedDict(layer3=self.layer3, layer4=self.layer4))

    def forward(self, crops: Tensor) -> Tensor:
        """crops: float (N, 3, H, W), normalised -> float (N, 2048, H / 16, W / 16)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(crops))))
        out: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return out
