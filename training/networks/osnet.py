"""OSNet, the omni-scale network made for re-identification (Zhou et al., "Omni-Scale Feature Learning for Person
Re-Identification", ICCV 2019). It is small enough, 2.2 million parameters, to be trained from random values.

A block looks at its input through four streams of 1, 2, 3 and 4 light 3 x 3 convolutions, so with receptive fields of
3, 5, 7 and 9, and mixes them by a gate that depends on the image, one weight a channel. The gate's own parameters are
shared by the four streams.

    stem   7 x 7 convolution, stride 2, then 3 x 3 max pooling, stride 2         1/4 of the input
    stage1 two blocks -> 256 channels; transition: 1 x 1 convolution, halving    1/8
    stage2 two blocks -> 384 channels; transition: 1 x 1 convolution, halving    1/16
    stage3 two blocks -> 512 channels; 1 x 1 convolution                         1/16
"""

import math
from collections import OrderedDict

from torch import Tensor, nn

_CHANNELS = (64, 256, 384, 512)
_STREAM_DEPTHS = (1, 2, 3, 4)
_BOTTLENECK = 4
_GATE_REDUCTION = 16


def _pointwise(channels_in: int, channels_out: int, *, relu: bool) -> nn.Sequential:
    """1 x 1 convolution, batch normalisation and, if asked for, ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out)]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _lite_3x3(channels: int) -> nn.Sequential:
    """A 3 x 3 convolution factored the light way: mix the channels first, then look at the neighbours of each."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


class AggregationGate(nn.Module):
    """Weighs every channel of a stream by a small network of the stream's own average: `x * sigmoid(mlp(mean(x)))`.

    The averages follow a ReLU and are never negative, so a hidden unit without bias could start, and stay, below zero
    for every image; at width 0.25 it is the only one. The bias of 1 against sums of about 0.4 starts all of them alive.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // _GATE_REDUCTION)
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, channels, 1), nn.Sigmoid()
        )
        for layer, bias in ((self.weigh[0], 1.0), (self.weigh[2], 0.0)):
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_channels))
            nn.init.constant_(layer.bias, bias)

    def forward(self, stream: Tensor) -> Tensor:
        weights: Tensor = self.weigh(stream.mean((2, 3), keepdim=True))
        return stream * weights


class OmniScaleBlock(nn.Module):
    """Residual bottleneck block of four streams of growing depth, summed through one shared gate."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        inner = channels_out // _BOTTLENECK
        self.reduce = _pointwise(channels_in, inner, relu=True)
        self.streams = nn.ModuleList(
            nn.Sequential(*(_lite_3x3(inner) for _ in range(depth))) for depth in _STREAM_DEPTHS
        )
        self.gate = AggregationGate(inner)
        self.expand = _pointwise(inner, channels_out, relu=False)
        self.shortcut = (
            nn.Identity() if channels_in == channels_out else _pointwise(channels_in, channels_out, relu=False)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        first, *deeper = (self.gate(stream(reduced)) for stream in self.streams)
        mixed = sum(deeper, start=first)
        out: Tensor = self.relu(self.expand(mixed) + self.shortcut(x))
        return out


class OSNet(nn.Module):
    """OSNet without its classifier: float (N, 3, H, W) -> feature map (N, `channels`, H / 16, W / 16).

    `width` scales every layer's channels: 1.0, 0.5 and 0.25 are the paper's.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        stem, *stages = (int(channels * width) for channels in _CHANNELS)
        self.channels = stages[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.stage1 = self._stage(stem, stages[0])
        self.transition1 = self._transition(stages[0])
        self.stage2 = self._stage(stages[0], stages[1])
        self.transition2 = self._transition(stages[1])
        self.stage3 = self._stage(stages[1], stages[2])
        self.final = _pointwise(stages[2], stages[2], relu=True)
        self._initialise()

    @staticmethod
    def _stage(channels_in: int, channels_out: int) -> nn.Sequential:
        return nn.Sequential(OmniScaleBlock(channels_in, channels_out), OmniScaleBlock(channels_out, channels_out))

    @staticmethod
    def _transition(channels: int) -> nn.Sequential:
        return nn.Sequential(_pointwise(channels, channels, relu=True), nn.AvgPool2d(2))

    def _initialise(self) -> None:
        """He's normal values by the true fan-out: torch counts a depthwise convolution's as if it were dense, and its
        outputs would start 1 / sqrt(channels) too small."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is None:  # those with a bias are the gates'
                height, width = module.kernel_size
                fan_out = height * width * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))

    def halves(self) -> tuple[nn.Sequential, nn.Sequential]:
        """The network cut at 1/8 of the input: (trunk, tail). Both share this network's parameters."""
        trunk: OrderedDict[str, nn.Module] = OrderedDict(
            stem=self.stem, stage1=self.stage1, transition1=self.transition1
        )
        tail: OrderedDict[str, nn.Module] = OrderedDict(
            stage2=self.stage2, transition2=self.transition2, stage3=self.stage3, final=self.final
        )
        return nn.Sequential(trunk), nn.Sequential(tail)

    def forward(self, crops: Tensor) -> Tensor:
        """crops: float (N, 3, H, W), normalised -> float (N, channels, H / 16, W / 16)."""
        x = self.transition1(self.stage1(self.stem(crops)))
        x = self.transition2(self.stage2(x))
        out: Tensor = self.final(self.stage3(x))
        return out
