from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from training.networks.network import ReidNetwork
from training.networks.normalisation import PixelNormalisation
from training.networks.served import ServedModel
from training.networks.settings import NetworkSettings

Weathered = Callable[[nn.Module], nn.Module]


def crops(count: int) -> torch.Tensor:
    """uint8 (count, 64, 32, 3): noise on an upper and a lower half of two colours."""
    generator = torch.Generator().manual_seed(count)
    colours = torch.randint(0, 192, (count, 2, 1, 1, 3), generator=generator).expand(-1, -1, 32, 32, -1)
    noise = torch.randint(0, 64, (count, 64, 32, 3), generator=generator)
    return (colours.reshape(count, 64, 32, 3) + noise).to(torch.uint8)


def network_of(backbone: str, weathered: Weathered, **changes: object) -> ReidNetwork:
    torch.manual_seed(5)
    settings = NetworkSettings(backbone, 64, 32, persons=3, viewpoint_classifier=True, **changes)
    network = weathered(ReidNetwork(settings))
    assert isinstance(network, ReidNetwork)
    # The statistics of real features in the necks: without them all embeddings of random weights point the same way.
    for neck in network.necks:
        neck.momentum = 1.0
        neck.train()
    with torch.no_grad():
        network(PixelNormalisation(network.mean, network.std)(crops(16)))
    return network.eval()


def exported(served: ServedModel, path: Path) -> onnxruntime.InferenceSession:
    torch.onnx.export(
        served,
        (crops(2),),
        path,
        input_names=["crops"],
        output_names=list(served.output_names),
        dynamic_shapes={"crops": {0: torch.export.Dim("batch")}},
        dynamo=True,
        verbose=False,
    )
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_raw_pixels_give_what_the_network_gives_for_normalised_ones(weathered: Weathered) -> None:
    network = network_of("osnet_x0_25", weathered)
    raw = crops(4)
    normalised = (raw.float() / 255 - torch.tensor(network.mean)) / torch.tensor(network.std)
    with torch.no_grad():
        embedding, viewpoint = ServedModel(network)(raw)
        wanted = network.embed(normalised.permute(0, 3, 1, 2))
    torch.testing.assert_close(embedding, wanted[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(viewpoint, wanted[1], atol=1e-5, rtol=0)


def test_it_is_a_frozen_copy_that_leaves_the_training_network_alone(weathered: Weathered) -> None:
    network = network_of("osnet_x0_25", weathered).train()
    served = ServedModel(network, "float16")
    assert network.training
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    assert any(parameter.requires_grad for parameter in network.parameters())
    assert not served.network.training
    assert not any(parameter.requires_grad for parameter in served.parameters())


def test_without_a_viewpoint_classifier_the_embedding_is_the_only_output(weathered: Weathered) -> None:
    network = ReidNetwork(NetworkSettings("osnet_x0_25", 64, 32, persons=3))
    served = ServedModel(network)
    assert served.output_names == ("embedding",)
    assert len(served(crops(2))) == 1


@pytest.mark.parametrize("backbone", ["osnet_x0_25", "resnet50"])
def test_the_exported_graph_gives_what_torch_gives_at_any_batch_size(
    backbone: str, weathered: Weathered, tmp_path: Path
) -> None:
    served = ServedModel(network_of(backbone, weathered, embedding_dim=64, pooling="gem"))
    session = exported(served, tmp_path / "model.onnx")
    (entry,) = session.get_inputs()
    assert (entry.name, entry.type, entry.shape[1:]) == ("crops", "tensor(uint8)", [64, 32, 3])
    assert isinstance(entry.shape[0], str)
    assert [out.name for out in session.get_outputs()] == ["embedding", "viewpoint"]
    for count in (1, 3, 8):
        with torch.no_grad():
            wanted = [value.numpy() for value in served(crops(count))]
        embedding, viewpoint = session.run(None, {"crops": crops(count).numpy()})
        assert (embedding.dtype, embedding.shape) == (np.float32, (count, 64))
        assert (viewpoint.dtype, viewpoint.shape) == (np.float32, (count, 3))
        np.testing.assert_allclose(embedding, wanted[0], atol=1e-4, rtol=0)
        np.testing.assert_allclose(viewpoint, wanted[1], atol=1e-4, rtol=0)
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)
    assert np.max(np.triu(embedding @ embedding.T, 1)) < 0.95  # not all the same point


def test_the_striped_half_precision_graph_is_near_the_exact_one(weathered: Weathered, tmp_path: Path) -> None:
    network = network_of("osnet_x0_25", weathered, local_parts=True, embedding_dim=16)
    for name, module in network.backbone.named_modules():
        if name.rpartition(".")[2].startswith("stage"):
            del module[1]  # one block a stage: three whole tails take the exporter long
    served = ServedModel(network, "float16")
    assert {parameter.dtype for parameter in served.network.backbone.parameters()} == {torch.float16}
    rest = [value for name, value in served.network.named_parameters() if not name.startswith("backbone.")]
    assert {value.dtype for value in rest} == {torch.float32}
    session = exported(served, tmp_path / "half.onnx")
    with torch.no_grad():
        exact = [value.numpy() for value in ServedModel(network)(crops(5))]
        half = [value.numpy() for value in served(crops(5))]
    outputs = session.run(None, {"crops": crops(5).numpy()})
    for got in (half, outputs):
        assert got[0].dtype == got[1].dtype == np.float32
        assert ((got[0] * exact[0]).sum(1) > 0.999).all()
        np.testing.assert_allclose(np.linalg.norm(got[0], axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(got[1], exact[1], atol=1e-2)
