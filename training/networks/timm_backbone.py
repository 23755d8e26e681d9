"""Any backbone of timm, by `timm:NAME`: SE-ResNeXt101 as in the VA-reID paper (`timm:legacy_seresnext101_32x4d`),
ViT, Swin, DINO and a thousand others."""

import difflib
import sys
from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from training.networks.errors import NetworkError, UnknownBackboneError, WeightsError
from training.networks.weights import Weights, load_state, read_state

_LAST_STRIDE_1 = 16


class TimmBackbone(nn.Module):
    """float (N, 3, H, W) -> feature map (N, `channels`, h, w), or (N, `channels`, patches, 1) of a transformer.

    Convolutional networks keep their last stage at 1/16 of the input where timm can do so (`output_stride=16`, which
    dilates that stage to keep its receptive field) or where they are built like a ResNet (stride 1, no dilation).
    Transformers are built for `height` x `width`. Class and register tokens are not used: pooling is over the image.

    `mean` and `std` are those that the published weights were trained with, of pixels in [0, 1].
    """

    def __init__(self, name: str, *, height: int, width: int, weights: Weights = None) -> None:
        super().__init__()
        if not timm.is_model(name):
            nearest = difflib.get_close_matches(name, timm.list_models(), n=1, cutoff=0)
            raise UnknownBackboneError(f"timm has no backbone {name!r}: did you mean 'timm:{nearest[0]}'?")
        self.network = _create(name, height=height, width=width, published=weights == "published")
        self._check_patches(name, height, width)
        facts = self.network.pretrained_cfg
        self.channels: int = self.network.num_features
        self.mean: tuple[float, float, float] = tuple(facts["mean"])
        self.std: tuple[float, float, float] = tuple(facts["std"])
        if weights is not None and weights != "published":
            self._load(weights)

    def _check_patches(self, name: str, height: int, width: int) -> None:
        patch = getattr(getattr(self.network, "patch_embed", None), "patch_size", None)
        if isinstance(patch, tuple) and (height % patch[0] or width % patch[1]):
            fitting = f"{max(1, round(height / patch[0])) * patch[0]} x {max(1, round(width / patch[1])) * patch[1]}"
            raise NetworkError(
                f"timm:{name} cuts crops into patches of {patch[0]} x {patch[1]}; {height} x {width} is no multiple: "
                f"choose height x width {fitting}"
            )

    def _load(self, path: Path) -> None:
        state = read_state(path)
        if all(name.startswith("network.") for name in state):  # a TimmBackbone's own names
            state = {name.removeprefix("network."): value for name, value in state.items()}
        # timm keeps beside some architectures the function that brings older files, and position embeddings of another
        # input size, into the shape that the network has now.
        convert = getattr(sys.modules[type(self.network).__module__], "checkpoint_filter_fn", None)
        if convert is not None:
            try:
                state = convert(state, self.network)
            except (RuntimeError, KeyError, AttributeError) as error:
                raise WeightsError(
                    f"{path} cannot be brought into the shape of this backbone ({error}): "
                    f"give the weights that timm publishes for it, or its own for crops of the same height and width"
                ) from error
        classifier = self.network.pretrained_cfg.get("classifier") or ()
        classifiers = (classifier,) if isinstance(classifier, str) else tuple(classifier)
        load_state(self.network, state, source=path, classifiers=classifiers)

    def forward(self, crops: Tensor) -> Tensor:
        """crops: float (N, 3, H, W), normalised by `mean` and `std` -> float (N, channels, h, w)."""
        out: Tensor = self.network.forward_features(crops)
        if out.ndim == 3:
            return out[:, getattr(self.network, "num_prefix_tokens", 0) :].transpose(1, 2).unsqueeze(-1)
        if getattr(self.network, "output_fmt", "NCHW") == "NHWC":
            return out.permute(0, 3, 1, 2)
        return out


def _create(name: str, *, height: int, width: int, published: bool) -> Any:
    """The timm network with as many of the two wishes, input size and last stride 1, as its architecture grants."""
    size, stride = {"img_size": (height, width)}, {"output_stride": _LAST_STRIDE_1}
    for wishes in (size | stride, size, stride):
        try:
            return _create_as_asked(name, published, wishes)
        except (TypeError, AssertionError):  # an argument that this architecture lacks, or a value that it refuses
            continue
    network = _create_as_asked(name, published, {})
    for module in getattr(network, "layer4", nn.Identity()).modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.stride = (1, 1)
    return network


def _create_as_asked(name: str, published: bool, wishes: dict[str, Any]) -> Any:
    try:
        return timm.create_model(name, pretrained=published, num_classes=0, **wishes)
    except (OSError, RuntimeError) as error:
        if not published:
            raise
        raise WeightsError(
            f"the published weights of timm:{name} cannot be had ({error}): download its model.safetensors from the "
            f"timm collection of the Hugging Face hub where there is a network and pass --weights FILE"
        ) from error
