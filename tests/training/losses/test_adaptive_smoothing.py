"""L_y, its three rules, against plain loops over samples and classes."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from training.losses import AdaptiveSmoothingLoss, CrossEntropyLoss, LossError
from training.losses.adaptive_smoothing import SmoothingRule, adaptive_smoothing, adaptive_targets
from training.losses.cross_entropy import soft_cross_entropy

RULES: tuple[SmoothingRule, ...] = ("poster", "vaal", "youreid")


def literal_targets(row: list[float], y: int, alpha: float, rule: str) -> list[float]:
    k = len(row)
    normaliser = sum(math.exp(value) for value in row)
    epsilon = [alpha * (1 - math.exp(value) / normaliser) for value in row]
    p = []
    for j in range(k):
        if rule == "poster":
            p.append(1 - epsilon[y] if j == y else epsilon[j] / (k - 1))
        elif rule == "vaal":
            p.append((1 - epsilon[j] if j == y else 0.0) + epsilon[j] / (k - 1))
        else:
            p.append((1 - epsilon[y] if j == y else 0.0) + epsilon[y] / k)
    return p


@pytest.mark.parametrize("rule", RULES)
@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 6), k=st.integers(2, 7), alpha=st.floats(0, 1), seed=st.integers(0, 1000))
def test_labels_and_loss_are_those_of_the_literal_formula(
    rule: SmoothingRule, n: int, k: int, alpha: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn((n, k), generator=generator, dtype=torch.float64)
    labels = torch.randint(k, (n,), generator=generator)
    literal, loss = [], 0.0
    for row, y in zip(logits.tolist(), labels.tolist(), strict=True):
        p = literal_targets(row, y, alpha, rule)
        literal.append(p)
        normaliser = math.log(sum(math.exp(value) for value in row))
        loss -= sum(p[j] * (row[j] - normaliser) for j in range(k)) / n
    torch.testing.assert_close(
        adaptive_targets(logits, labels, alpha, rule), torch.tensor(literal, dtype=torch.float64)
    )
    assert math.isclose(adaptive_smoothing(logits, labels, alpha, rule).item(), loss, rel_tol=1e-9, abs_tol=1e-12)


def test_only_the_youreid_labels_are_a_distribution(make_batch: Any) -> None:
    inputs = make_batch([0, 2, 1, 2, 3])
    sums = {rule: adaptive_targets(inputs.id_logits, inputs.persons, 0.25, rule).sum(1) for rule in RULES}
    torch.testing.assert_close(sums["youreid"], torch.ones(5, dtype=torch.float64))
    assert (sums["poster"] - 1).abs().min() > 1e-3
    assert (sums["vaal"] - 1).abs().min() > 1e-3


@pytest.mark.parametrize("rule", RULES)
def test_the_gradient_holds_the_labels_constant(make_batch: Any, rule: SmoothingRule) -> None:
    inputs = make_batch([0, 2, 1, 2])
    frozen = adaptive_targets(inputs.id_logits, inputs.persons, 0.25, rule)
    assert not frozen.requires_grad
    assert gradcheck(lambda logits: soft_cross_entropy(logits, frozen).mean(), (inputs.id_logits,))
    (expected,) = torch.autograd.grad(soft_cross_entropy(inputs.id_logits, frozen).mean(), inputs.id_logits)
    loss = AdaptiveSmoothingLoss(0.25, rule)(inputs)["identity"]
    (actual,) = torch.autograd.grad(loss, inputs.id_logits)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("rule", RULES)
def test_with_alpha_zero_it_is_cross_entropy(make_batch: Any, rule: SmoothingRule) -> None:
    inputs = make_batch([0, 2, 1, 2, 3])
    torch.testing.assert_close(AdaptiveSmoothingLoss(0.0, rule)(inputs), CrossEntropyLoss()(inputs))


def test_one_person_only_is_refused(make_batch: Any) -> None:
    with pytest.raises(LossError, match="at least 2 persons"):
        AdaptiveSmoothingLoss()(make_batch([0, 0]))


def test_options_outside_their_range_are_refused() -> None:
    with pytest.raises(LossError, match=r"alpha 1.5 is outside \[0, 1\]"):
        AdaptiveSmoothingLoss(1.5)
    with pytest.raises(LossError, match="no smoothing rule 'mine': choose one of poster, vaal, youreid"):
        AdaptiveSmoothingLoss(0.25, "mine")  # type: ignore[arg-type]
