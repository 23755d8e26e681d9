import pytest
import torch
from torch import nn

from training.networks import NetworkSettings, ReidNetwork
from training.optimiser import build_optimiser, clip_gradients, clipped_parameters, set_learning_rate
from training.recipe import OptimiserTable


def network() -> ReidNetwork:
    return ReidNetwork(NetworkSettings("osnet_x0_25", 32, 16, persons=2, viewpoint_classifier=True))


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_kernels_decay_and_scales_and_shifts_do_not(kind: str) -> None:
    trained = network()
    optimiser = build_optimiser(trained, OptimiserTable(kind, 0.1, weight_decay=0.01))  # type: ignore[arg-type]
    decays = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    for parameter in trained.parameters():
        if parameter.requires_grad:
            assert decays[id(parameter)] == (0.01 if parameter.ndim >= 2 else 0.0)
        else:
            assert id(parameter) not in decays


def test_the_learning_rate_is_set_in_all_groups() -> None:
    optimiser = build_optimiser(network(), OptimiserTable("adam", 0.1))
    set_learning_rate(optimiser, 0.02)
    assert [group["lr"] for group in optimiser.param_groups] == [0.02, 0.02]


def test_long_gradients_are_cut_short_ones_left_and_the_viewpoint_classifier_does_not_count() -> None:
    def norm_of(module: nn.Module) -> float:
        return float(torch.stack([p.grad.norm() for p in module.parameters() if p.grad is not None]).norm())

    trained = network()
    for parameter in trained.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.full_like(parameter, 0.1)
    classifier = trained.viewpoint_classifier
    assert classifier is not None
    others = norm_of(classifier)
    clip_gradients(clipped_parameters(trained), 0.0)
    assert norm_of(classifier) == others
    clip_gradients(clipped_parameters(trained), 5.0)
    assert norm_of(classifier) == others
    classifier.zero_grad()
    assert norm_of(trained) == pytest.approx(5.0, rel=1e-4)
    clip_gradients(clipped_parameters(trained), 6.0)
    assert norm_of(trained) == pytest.approx(5.0, rel=1e-4)
