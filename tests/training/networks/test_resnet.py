from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision

from training.networks.errors import WeightsError
from training.networks.resnet import ResNet


@pytest.fixture(scope="module")
def resnet50() -> ResNet:
    return ResNet("resnet50").eval()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stands in for the download: holds what it brings; empty, there is no network."""
    state: dict[str, Any] = {}

    def get_state_dict(*_: object, **__: object) -> dict[str, Any]:
        if not state:
            raise URLError("Name or service not known")
        return state

    monkeypatch.setattr(torchvision.models.ResNet50_Weights, "get_state_dict", get_state_dict)
    return state


def test_the_last_stage_keeps_the_resolution(resnet50: ResNet) -> None:
    assert resnet50(torch.randn(1, 3, 64, 32)).shape == (1, 2048, 4, 2)


@pytest.mark.parametrize(("name", "count"), [("resnet50", 23_508_032), ("resnet101", 42_500_160)])
def test_it_has_torchvisions_parameters_without_the_classifier(name: str, count: int) -> None:
    # torchvision states 25,557,032 and 44,549,160 with the classifier's 2048 * 1000 + 1000
    with torch.device("meta"):
        network = ResNet(name)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_but_for_the_stride_it_computes_what_torchvisions_network_computes(resnet50: ResNet) -> None:
    original = torchvision.models.resnet50(weights=None).eval()
    original.load_state_dict(resnet50.state_dict(), strict=False)
    seen: dict[str, torch.Tensor] = {}
    original.layer3.register_forward_hook(lambda _, __, out: seen.update(layer3=out))
    original.layer4.register_forward_hook(lambda _, __, out: seen.update(layer4=out))
    x = torch.randn(1, 3, 64, 32)
    original(x)
    first = resnet50.layer4[0]
    assert torch.equal(first(seen["layer3"])[:, :, ::2, ::2], original.layer4[0](seen["layer3"]))
    assert resnet50(x).shape[2:] == seen["layer3"].shape[2:]
    assert seen["layer4"].shape[2] * 2 == seen["layer3"].shape[2]


def test_the_two_halves_in_a_row_are_the_network(resnet50: ResNet) -> None:
    trunk, tail = resnet50.halves()
    x = torch.randn(1, 3, 64, 32)
    assert trunk(x).shape == (1, 512, 8, 4)
    assert torch.equal(tail(trunk(x)), resnet50(x))


def test_published_weights_are_loaded(published: dict[str, Any]) -> None:
    source = torchvision.models.resnet50(weights=None).state_dict()
    published.update(source)
    network = ResNet("resnet50", "published")
    assert all(torch.equal(value, source[name]) for name, value in network.state_dict().items())


@pytest.mark.usefixtures("published")
def test_published_weights_out_of_reach_give_a_sentence_that_names_the_file_and_the_way_out() -> None:
    with pytest.raises(WeightsError, match=r"resnet50 cannot be had from https://.*resnet50-.*pth.*--weights FILE"):
        ResNet("resnet50", "published")


def test_a_torchvision_file_is_loaded_without_its_classifier(tmp_path: Path) -> None:
    source = torchvision.models.resnet50(weights=None, num_classes=7).state_dict()
    torch.save(source, tmp_path / "resnet50.pth")
    network = ResNet("resnet50", tmp_path / "resnet50.pth")
    assert all(torch.equal(value, source[name]) for name, value in network.state_dict().items())


def test_a_file_of_the_deeper_network_is_refused_though_it_holds_every_name(tmp_path: Path) -> None:
    with torch.device("meta"):
        names = torchvision.models.resnet101(weights=None).state_dict()
    file = tmp_path / "resnet101.pth"
    torch.save({name: torch.zeros(value.shape) for name, value in names.items()}, file)
    with pytest.raises(WeightsError, match=r"not of this network: layer3\.6\.conv1\.weight.* more"):
        ResNet("resnet50", file)
