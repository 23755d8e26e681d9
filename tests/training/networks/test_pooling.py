import pytest
import torch

from training.networks.pooling import AveragePooling, GeneralisedMeanPooling, build_pooling


@pytest.fixture
def feature_map() -> torch.Tensor:
    return torch.rand(3, 5, 4, 2, generator=torch.Generator().manual_seed(0)) + 0.01


def test_average_pooling_is_the_mean_over_the_map(feature_map: torch.Tensor) -> None:
    pooled = AveragePooling()(feature_map)
    for n in range(3):
        for c in range(5):
            assert pooled[n, c].item() == pytest.approx(feature_map[n, c].sum().item() / 8, rel=1e-6)


@pytest.mark.parametrize("p", [1.0, 3.0, 6.5])
def test_gem_is_the_generalised_mean(feature_map: torch.Tensor, p: float) -> None:
    pooled = GeneralisedMeanPooling(p)(feature_map)
    for n in range(3):
        for c in range(5):
            mean = sum(value**p for value in feature_map[n, c].flatten().tolist()) / 8
            assert pooled[n, c].item() == pytest.approx(mean ** (1 / p), rel=1e-5)


def test_gem_of_1_is_the_average_and_of_a_large_p_nearly_the_maximum(feature_map: torch.Tensor) -> None:
    torch.testing.assert_close(GeneralisedMeanPooling(1.0)(feature_map), feature_map.mean((2, 3)))
    torch.testing.assert_close(GeneralisedMeanPooling(60.0)(feature_map), feature_map.amax((2, 3)), rtol=0.05, atol=0)


def test_gem_learns_its_p_and_takes_negative_values_for_nothing(feature_map: torch.Tensor) -> None:
    pooling = GeneralisedMeanPooling()
    feature_map[:, :, 0] = -5
    pooled = pooling(feature_map)
    assert torch.isfinite(pooled).all()
    pooled.sum().backward()
    assert pooling.p.grad is not None
    assert torch.isfinite(pooling.p.grad)
    assert pooling.p.grad != 0


@pytest.mark.parametrize("kind", ["avg", "gem"])
def test_a_half_precision_map_is_pooled_in_float32(kind: str) -> None:
    values = torch.full((1, 1, 64, 32), 50.0, dtype=torch.float16)  # its sum and its cubes overflow float16
    pooled = build_pooling(kind)(values)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, torch.tensor([[50.0]]))


def test_each_kind_is_what_it_says() -> None:
    assert isinstance(build_pooling("avg"), AveragePooling)
    assert isinstance(build_pooling("gem"), GeneralisedMeanPooling)
