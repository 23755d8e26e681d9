from pathlib import Path

import pytest
import torch

from training.networks.backbones import IMAGENET_MEAN, IMAGENET_STD, build_backbone
from training.networks.errors import UnknownBackboneError, WeightsError


@pytest.mark.parametrize(
    ("name", "channels"),
    [("osnet", 512), ("osnet_x1_0", 512), ("osnet_x0_5", 256), ("osnet_x0_25", 128), ("resnet50", 2048)],
)
def test_every_name_builds_a_network_of_the_channels_that_it_states(name: str, channels: int) -> None:
    backbone = build_backbone(name, height=64, width=32)
    backbone.module.eval()
    with torch.no_grad():
        assert backbone.module(torch.randn(1, 3, 64, 32)).shape == (1, channels, 4, 2)
    assert (backbone.channels, backbone.mean, backbone.std) == (channels, IMAGENET_MEAN, IMAGENET_STD)


def test_timm_backbones_bring_their_own_normalisation() -> None:
    backbone = build_backbone("timm:vit_tiny_patch16_224", height=64, width=32)
    assert (backbone.channels, backbone.mean, backbone.std) == (192, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("osnet_x0.25", "osnet_x0_25"), ("resnet-50", "resnet50"), ("seresnext101_32x4d", "timm:seresnext101_32x4d")],
)
def test_an_unknown_name_names_the_nearest_right_one(wrong: str, right: str) -> None:
    with pytest.raises(UnknownBackboneError, match=f"'{wrong}': did you mean '{right}'"):
        build_backbone(wrong, height=64, width=32)


def test_osnet_says_that_it_has_no_published_weights() -> None:
    with pytest.raises(WeightsError, match=r"osnet has no published weights.*--weights FILE"):
        build_backbone("osnet", height=64, width=32, weights="published")


def test_an_osnet_file_is_loaded_and_one_of_another_width_refused(tmp_path: Path) -> None:
    source = build_backbone("osnet_x0_25", height=64, width=32).module.state_dict()
    torch.save(source, tmp_path / "osnet.pth")
    loaded = build_backbone("osnet_x0_25", height=64, width=32, weights=tmp_path / "osnet.pth").module.state_dict()
    assert all(torch.equal(value, source[name]) for name, value in loaded.items())
    with pytest.raises(
        WeightsError, match=r"of another shape: stem\.0\.weight is \(16, 3, 7, 7\) where \(32, 3, 7, 7\)"
    ):
        build_backbone("osnet_x0_5", height=64, width=32, weights=tmp_path / "osnet.pth")
