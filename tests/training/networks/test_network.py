from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training.networks.errors import NetworkError
from training.networks.network import NetworkOutput, ReidNetwork
from training.networks.settings import NetworkSettings

Weathered = Callable[[nn.Module], nn.Module]

CROPS = torch.randn(6, 3, 64, 32, generator=torch.Generator().manual_seed(3))
PERSONS = torch.tensor([0, 0, 1, 1, 2, 2])
VIEWS = torch.tensor([0, 1, 2, 3, 4, 4])


def build(**changes: Any) -> ReidNetwork:
    torch.manual_seed(11)
    settings: dict[str, Any] = {
        "backbone": "osnet_x0_25",
        "height": 64,
        "width": 32,
        "persons": 5,
        "view_classes": 7,
        "viewpoint_classifier": True,
        "embedding_dim": 48,
    }
    return ReidNetwork(NetworkSettings(**(settings | changes)))


VARIANTS: list[dict[str, Any]] = [
    {},
    {"pooling": "gem", "head": "hypersphere"},
    {"local_parts": True, "embedding_dim": 16},
    {"embedding_dim": None, "neck": "none"},
]


def loss_of(output: NetworkOutput) -> Tensor:
    assert output.view_logits is not None
    ids = sum(cross_entropy(logits, PERSONS) for logits in output.part_id_logits)
    return ids + cross_entropy(output.view_logits, VIEWS) + output.features.square().mean()


def test_every_output_has_its_shape_and_is_float32() -> None:
    out = build()(CROPS)
    shapes = {name: tuple(value.shape) for name, value in out._asdict().items() if isinstance(value, Tensor)}
    assert shapes == {
        "features": (6, 48),
        "embeddings": (6, 48),
        "id_logits": (6, 5),
        "view_logits": (6, 7),
        "viewpoint_logits": (6, 3),
    }
    assert torch.equal(out.part_features[0], out.features)
    assert torch.equal(out.part_id_logits[0], out.id_logits)
    assert len(out.part_features) == len(out.part_id_logits) == 1


def test_the_striped_variant_has_six_parts_side_by_side_and_views_on_the_first_alone() -> None:
    network = build(local_parts=True, embedding_dim=None, viewpoint_classifier=True)
    out = network(CROPS)
    assert network.embedding_dim == 6 * 256
    assert torch.equal(torch.cat(out.part_features, 1), out.features)
    assert out.features.shape == out.embeddings.shape == (6, 6 * 256)
    assert [tuple(logits.shape) for logits in out.part_id_logits] == [(6, 5)] * 6
    assert network.view_centres.shape == (7, 256)
    assert out.view_logits is not None
    network.zero_grad()
    out.view_logits.square().sum().backward()
    backbone = network.backbone
    assert all(parameter.grad is not None for parameter in backbone.tails[0].parameters())
    assert all(parameter.grad is None for tail in backbone.tails[1:] for parameter in tail.parameters())


def test_the_parts_of_the_striped_variant_see_their_own_rows() -> None:
    network = build(local_parts=True, embedding_dim=8, neck="none").eval()
    maps = network.backbone(CROPS)
    out = network(CROPS)
    reductions = [part.reduction.weight for part in network.parts]
    # part 2 is the lower half of the second branch, part 3 the upper third (rows 0 and 1 of 4) of the third
    torch.testing.assert_close(out.part_features[2], maps[1][:, :, 2:].mean((2, 3)) @ reductions[2].T)
    torch.testing.assert_close(out.part_features[3], maps[2][:, :, :2].mean((2, 3)) @ reductions[3].T)


def test_without_viewpoints_there_is_neither_head_nor_classifier() -> None:
    network = build(view_classes=None, viewpoint_classifier=False)
    out = network(CROPS)
    assert out.view_logits is None
    assert out.viewpoint_logits is None
    assert network.eval().embed(CROPS)[1] is None
    with pytest.raises(NetworkError, match="set view_classes"):
        _ = network.view_centres


def test_without_an_embedding_size_the_features_are_the_backbones_channels() -> None:
    network = build(embedding_dim=None)
    assert network.embedding_dim == 128
    network.eval()
    torch.testing.assert_close(network(CROPS).features, network.backbone(CROPS).mean((2, 3)))


def test_with_a_512_wide_embedding_osnet_is_the_papers_2_2_million_parameters() -> None:
    network = build(backbone="osnet", embedding_dim=512)
    embedding = (network.backbone, network.parts, network.necks)
    # 1,905,828 of the backbone (see test_osnet), 512 * 512 of the reduction, 2 * 512 of the neck
    assert sum(parameter.numel() for module in embedding for parameter in module.parameters()) == 2_168_996


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradient_reaches_every_parameter_that_trains_and_the_classifier_stands_apart(variant: dict[str, Any]) -> None:
    network = build(**variant).train()
    out = network(CROPS, PERSONS, VIEWS)
    loss_of(out).backward()
    for name, parameter in network.named_parameters():
        apart = name.startswith("viewpoint_classifier.")
        trains = parameter.requires_grad and not apart
        assert (parameter.grad is not None and bool(parameter.grad.any())) == trains, name
    frozen = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    assert all(name.startswith("necks.") and name.endswith(".bias") for name in frozen)

    network.zero_grad()
    viewpoint_logits = network(CROPS).viewpoint_logits
    assert viewpoint_logits is not None
    viewpoint_logits.square().sum().backward()
    touched = {name.split(".")[0] for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert touched == {"viewpoint_classifier"}


def test_labels_bring_the_margin_into_both_heads_in_training_only() -> None:
    network = build(head="hypersphere", margin=0.4).train()
    bare, labelled = network(CROPS), network(CROPS, PERSONS, VIEWS)
    for logits, widened, labels in (
        (bare.id_logits, labelled.id_logits, PERSONS),
        (bare.view_logits, labelled.view_logits, VIEWS),
    ):
        true = torch.zeros_like(logits, dtype=torch.bool).scatter(1, labels[:, None], True)
        assert (widened[true] < logits[true] - 1).all()
        torch.testing.assert_close(widened[~true], logits[~true])
    network.eval()
    assert torch.equal(network(CROPS, PERSONS, VIEWS).id_logits, network(CROPS).id_logits)


@pytest.mark.parametrize("variant", VARIANTS)
def test_embeddings_are_unit_vectors_and_one_crop_at_a_time_gives_the_same(
    variant: dict[str, Any], weathered: Weathered
) -> None:
    network = weathered(build(**variant))
    with torch.no_grad():
        embeddings, viewpoints = network.embed(CROPS)
        alone = [network.embed(crop[None]) for crop in CROPS]
        raw = network(CROPS).embeddings
        viewpoint_logits = network(CROPS).viewpoint_logits
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(6))
    torch.testing.assert_close(viewpoints, viewpoint_logits.softmax(1))
    torch.testing.assert_close(viewpoints.sum(1), torch.ones(6))
    torch.testing.assert_close(embeddings, raw / raw.norm(dim=1, keepdim=True))
    torch.testing.assert_close(torch.cat([embedding for embedding, _ in alone]), embeddings, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat([viewpoint for _, viewpoint in alone]), viewpoints, atol=1e-5, rtol=0)
    assert (embeddings @ embeddings.T).triu(1).max() < 0.9999  # not all the same point


def test_embedding_in_training_mode_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"call network\.eval\(\) first"):
        build().train().embed(CROPS)


def test_channels_last_gives_the_same(weathered: Weathered) -> None:
    network = weathered(build())
    with torch.no_grad():
        wanted = network.embed(CROPS)[0]
        network.to(memory_format=torch.channels_last)
        got = network.embed(CROPS.to(memory_format=torch.channels_last))[0]
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_under_bfloat16_autocast_it_trains_and_everything_that_comes_out_is_float32(
    variant: dict[str, Any], weathered: Weathered
) -> None:
    network = build(**variant).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network.backbone.eval() is network.backbone
        maps = network.backbone(CROPS)
        assert (maps if isinstance(maps, Tensor) else maps[0]).dtype == torch.bfloat16
        out = network.train()(CROPS, PERSONS, VIEWS)
    loss_of(out).backward()
    flat = (*(value for value in out if isinstance(value, Tensor)), *out.part_features, *out.part_id_logits)
    assert all(value.dtype == torch.float32 for value in flat)
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters() if parameter.grad is not None)

    weathered(network)
    with torch.no_grad():
        exact = network.embed(CROPS)[0]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            embeddings = network.embed(CROPS)[0]
    assert embeddings.dtype == torch.float32
    assert ((embeddings * exact).sum(1) > 0.99).all()
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(6))


@pytest.mark.parametrize("variant", VARIANTS)
def test_settings_and_state_dict_bring_the_network_back(
    variant: dict[str, Any], weathered: Weathered, tmp_path: Path
) -> None:
    network = weathered(build(**variant))
    torch.save(network.state_dict(), tmp_path / "network.pth")
    torch.manual_seed(99)
    again = ReidNetwork(network.settings)
    again.load_state_dict(torch.load(tmp_path / "network.pth", weights_only=True))
    with torch.no_grad():
        assert torch.equal(again.eval().embed(CROPS)[0], network.embed(CROPS)[0])


def test_a_trained_networks_backbone_starts_another_network(tmp_path: Path) -> None:
    network = build()
    torch.save(network.state_dict(), tmp_path / "network.pth")
    other = ReidNetwork(NetworkSettings("osnet_x0_25", 64, 32, persons=9), weights=tmp_path / "network.pth")
    for name, value in other.backbone.state_dict().items():
        assert torch.equal(value, network.backbone.state_dict()[name])


def test_the_centres_are_the_heads_own_rows() -> None:
    network = build()
    out = network.eval()(CROPS)
    torch.testing.assert_close(out.id_logits, out.embeddings @ network.id_centres.T)
    torch.testing.assert_close(out.view_logits, out.embeddings @ network.view_centres.T)
