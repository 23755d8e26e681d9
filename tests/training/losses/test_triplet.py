"""Batch-hard triplet against plain loops over anchors, and the batches in which there is nothing to compare."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from training.losses import BatchHardTripletLoss, LossError
from training.losses.triplet import Margin, batch_hard_triplet


def literal_triplet(x: Tensor, persons: list[int], margin: Margin) -> Tensor:
    losses = []
    for i in range(len(persons)):
        others = [j for j in range(len(persons)) if j != i]
        positives = [(x[i] - x[j]).norm() for j in others if persons[j] == persons[i]]
        negatives = [(x[i] - x[j]).norm() for j in others if persons[j] != persons[i]]
        if positives and negatives:
            gap = max(positives) - min(negatives)
            losses.append((1 + gap.exp()).log() if margin == "soft" else (gap + margin).clamp(min=0))
    return torch.stack(losses).mean() if losses else x.new_zeros(())


@pytest.mark.parametrize("margin", [0.3, 2.0, "soft"])
@settings(deadline=None, max_examples=30)
@given(persons=st.lists(st.integers(0, 3), min_size=1, max_size=10), seed=st.integers(0, 1000))
def test_loss_and_gradient_are_those_of_the_literal_loops(margin: Margin, persons: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn((len(persons), 4), generator=generator, dtype=torch.float64, requires_grad=True)
    literal = literal_triplet(x, persons, margin)
    loss = batch_hard_triplet(x, torch.tensor(persons), margin)
    torch.testing.assert_close(loss, literal)
    (gradient,) = torch.autograd.grad(loss, x)
    expected = torch.autograd.grad(literal, x)[0] if literal.requires_grad else torch.zeros_like(x)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("margin", [2.0, "soft"])
def test_the_gradient_is_that_of_the_formula(make_batch: Any, margin: Margin) -> None:
    inputs = make_batch([0, 0, 0, 1, 1, 2, 2])
    assert gradcheck(lambda x: batch_hard_triplet(x, inputs.persons, margin), (inputs.features,))


@pytest.mark.parametrize("margin", [0.3, "soft"])
@pytest.mark.parametrize("persons", [[0, 0, 0, 0], [0, 1, 2, 3], [0]])
def test_without_positives_or_negatives_the_loss_is_zero_with_a_gradient_of_zeros(
    make_batch: Any, persons: list[int], margin: Margin
) -> None:
    inputs = make_batch(persons)
    loss = BatchHardTripletLoss(margin)(inputs)["triplet"]
    loss.backward()
    assert loss.item() == 0
    assert (inputs.features.grad == 0).all()


def test_coinciding_features_cost_the_margin_and_have_a_finite_gradient(make_batch: Any) -> None:
    features = torch.ones((4, 6), requires_grad=True)
    inputs = replace(make_batch([0, 0, 1, 1]), features=features)
    loss = BatchHardTripletLoss(0.3)(inputs)["triplet"]
    loss.backward()
    assert loss.item() == pytest.approx(0.3)
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_it_measures_in_the_space_it_is_told(make_batch: Any) -> None:
    inputs = make_batch([0, 0, 1, 1])
    for space in ("features", "embeddings"):
        expected = batch_hard_triplet(getattr(inputs, space), inputs.persons, 0.3)
        torch.testing.assert_close(BatchHardTripletLoss(space=space)(inputs)["triplet"], expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("margin", [-0.1, float("nan"), "hard"])
def test_a_margin_that_is_none_is_refused(margin: Any) -> None:
    with pytest.raises(LossError, match='is neither a number from 0 up nor "soft"'):
        BatchHardTripletLoss(margin)
