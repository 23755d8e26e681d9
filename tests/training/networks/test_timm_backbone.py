from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from training.networks.errors import NetworkError, UnknownBackboneError, WeightsError
from training.networks.timm_backbone import TimmBackbone


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resnet10t", (1, 512, 4, 2)),  # last stride 1 by output_stride
        ("legacy_seresnet18", (1, 512, 4, 2)),  # no output_stride: by its layer4; the family of the paper's network
        ("mobilenetv3_small_050", (1, 288, 2, 1)),  # neither
        ("vit_tiny_patch16_224", (1, 192, 8, 1)),  # 4 x 2 patches, the class token left out
        ("swin_tiny_patch4_window7_224", (1, 768, 2, 1)),  # channels last inside
    ],
)
def test_every_family_gives_a_map_with_channels_second(name: str, shape: tuple[int, ...]) -> None:
    network = TimmBackbone(name, height=64, width=32).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 64, 32)).shape == shape
    assert network.channels == shape[1]


def test_the_papers_network_is_there_with_its_46_9_million_parameters_and_last_stride_1() -> None:
    with torch.device("meta"):
        network = TimmBackbone("legacy_seresnext101_32x4d", height=64, width=32)
        assert network(torch.empty(1, 3, 64, 32)).shape == (1, 2048, 4, 2)
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(46.906e6, rel=1e-4)


def test_a_transformers_map_is_its_patch_tokens_without_the_class_token() -> None:
    network = TimmBackbone("vit_tiny_patch16_224", height=64, width=32).eval()
    x = torch.randn(1, 3, 64, 32)
    tokens = network.network.forward_features(x)
    assert torch.equal(network(x)[0, :, :, 0].T, tokens[0, 1:])


def test_the_normalisation_is_the_one_of_the_published_weights() -> None:
    network = TimmBackbone("vit_tiny_patch16_224", height=64, width=32)
    assert (network.mean, network.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UnknownBackboneError, match="did you mean 'timm:resnet50d'"):
        TimmBackbone("resnet50dd", height=64, width=32)


def test_a_size_that_patches_do_not_tile_is_refused_with_one_that_they_do() -> None:
    with pytest.raises(NetworkError, match=r"14 x 14; 64 x 32 is no multiple: choose height x width 70 x 28"):
        TimmBackbone("vit_small_patch14_dinov2", height=64, width=32)


def test_published_weights_out_of_reach_give_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def create_offline(name: str, *, pretrained: bool, **settings: object) -> object:
        network = create(name, pretrained=False, **settings)  # refuses what the architecture lacks, as timm does
        if pretrained:
            raise FileNotFoundError("cannot find the requested files")
        return network

    monkeypatch.setattr(timm, "create_model", create_offline)
    with pytest.raises(WeightsError, match=r"timm:resnet10t cannot be had .*requested files.*--weights FILE"):
        TimmBackbone("resnet10t", height=64, width=32, weights="published")


def test_a_file_with_another_classifier_and_another_input_size_is_loaded(tmp_path: Path) -> None:
    source = timm.create_model("vit_tiny_patch16_224", num_classes=10)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    network = TimmBackbone("vit_tiny_patch16_224", height=64, width=32, weights=tmp_path / "model.safetensors")
    assert torch.equal(network.network.blocks[3].attn.qkv.weight, source.blocks[3].attn.qkv.weight)
    assert network.network.pos_embed.shape == (1, 1 + 8, 192)


def test_a_file_for_other_crops_that_cannot_be_resampled_is_refused(tmp_path: Path) -> None:
    source = TimmBackbone("vit_tiny_patch16_224", height=96, width=32)
    torch.save(source.state_dict(), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="cannot be brought into the shape of this backbone"):
        TimmBackbone("vit_tiny_patch16_224", height=64, width=32, weights=tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_its_own_checkpoint_is_loaded(tmp_path: Path, name: str) -> None:
    source = TimmBackbone(name, height=64, width=32)
    torch.save(source.state_dict(), tmp_path / "own.pth")
    network = TimmBackbone(name, height=64, width=32, weights=tmp_path / "own.pth")
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in network.state_dict().items())


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save(timm.create_model("mobilenetv3_small_050").state_dict(), tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="does not fit the backbone"):
        TimmBackbone("resnet10t", height=64, width=32, weights=tmp_path / "other.pth")
