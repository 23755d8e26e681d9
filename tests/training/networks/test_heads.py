import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.networks.heads import HypersphereHead, LinearHead, build_head


def hypersphere_logits(
    x: list[float], centres: list[list[float]], scale: float, margin: float, label: int | None
) -> list[float]:
    """The formula with plain loops, by the angle itself."""
    logits = []
    for j, w in enumerate(centres):
        dot = sum(a * b for a, b in zip(x, w, strict=True))
        cosine = dot / math.sqrt(sum(a * a for a in x)) / math.sqrt(sum(b * b for b in w))
        angle = math.acos(max(-1.0, min(1.0, cosine)))
        if j == label:
            if angle + margin <= math.pi:
                logits.append(scale * math.cos(angle + margin))
            else:
                logits.append(scale * (math.cos(angle) - margin * math.sin(margin)))
        else:
            logits.append(scale * math.cos(angle))
    return logits


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    dim=st.integers(2, 9),
    classes=st.integers(2, 6),
    scale=st.floats(1, 64),
    margin=st.floats(0, 1.5),
    training=st.booleans(),
    labelled=st.booleans(),
)
def test_hypersphere_logits_follow_the_formula(
    seed: int, dim: int, classes: int, scale: float, margin: float, training: bool, labelled: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    head = HypersphereHead(dim, classes, scale=scale, margin=margin).train(training)
    x = torch.randn(5, dim, generator=generator)
    x[0] = -head.weight[0].detach() + 0.01 * x[0]  # nearly opposite to its centre: beyond pi with the margin
    labels = torch.randint(classes, (5,), generator=generator)
    labels[0] = 0
    logits = head(x, labels if labelled else None)
    for i in range(5):
        label = int(labels[i]) if labelled and training else None
        wanted = hypersphere_logits(x[i].tolist(), head.weight.tolist(), scale, margin, label)
        assert logits[i].tolist() == pytest.approx(wanted, abs=2e-3 * scale)


def test_a_wider_angle_never_raises_the_true_logit() -> None:
    head = HypersphereHead(2, 2, scale=10, margin=0.5).train()
    head.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    angles = torch.linspace(0, math.pi, 500)
    logits = head(torch.stack([angles.cos(), angles.sin()], 1), torch.zeros(500, dtype=torch.int64))[:, 0]
    assert (logits.diff() < 1e-5).all()


def test_the_length_of_an_embedding_does_not_matter_and_the_scale_bounds_the_logits() -> None:
    head = HypersphereHead(6, 4, scale=16, margin=0.3).eval()
    x = torch.randn(8, 6)
    torch.testing.assert_close(head(x), head(100 * x))
    assert head(x).abs().max() <= 16 * (1 + 1e-6)


def test_gradients_stay_finite_for_an_embedding_on_its_centre_and_opposite_to_it() -> None:
    head = HypersphereHead(3, 2, scale=64, margin=0.2).train()
    head.weight.data = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # cosines of exactly 1 and -1
    x = torch.tensor([[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0]], requires_grad=True)
    torch.nn.functional.cross_entropy(head(x, torch.tensor([0, 0])), torch.tensor([0, 0])).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert head.weight.grad is not None
    assert torch.isfinite(head.weight.grad).all()


def test_the_linear_head_is_a_product_with_small_centres_and_no_bias() -> None:
    torch.manual_seed(0)
    head = LinearHead(200, 50).train()
    x = torch.randn(4, 200)
    torch.testing.assert_close(head(x, torch.zeros(4, dtype=torch.int64)), x @ head.weight.T)
    assert [name for name, _ in head.named_parameters()] == ["weight"]
    assert head.weight.std().item() == pytest.approx(0.001, rel=0.05)


def test_each_kind_is_what_it_says() -> None:
    assert isinstance(build_head("linear", 4, 3, scale=1, margin=0), LinearHead)
    head = build_head("hypersphere", 4, 3, scale=30, margin=0.1)
    assert isinstance(head, HypersphereHead)
    assert (head.scale, head.margin, head.weight.shape) == (30, 0.1, (3, 4))
