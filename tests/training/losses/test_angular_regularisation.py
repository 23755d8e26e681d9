"""L_R: the angle between a person's identity classifier and its view classifiers, against plain loops."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.autograd import gradcheck

from training.losses import AngularRegularisationLoss, LossError, ViewClasses
from training.losses.angular_regularisation import PairReduction, angular_regularisation

OCCURRING = ViewClasses(torch.tensor([[1, 0, 1], [0, 1, 0], [1, 1, 1]], dtype=torch.bool))


def cosine(first: list[float], second: list[float]) -> float:
    dot = sum(a * b for a, b in zip(first, second, strict=True))
    return dot / math.sqrt(sum(a * a for a in first)) / math.sqrt(sum(b * b for b in second))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_it_is_one_minus_the_cosine_over_the_existing_pairs(make_batch: Any, reduction: PairReduction) -> None:
    inputs = make_batch([0, 1, 2], num_view_classes=6)
    w, u = inputs.id_weight.tolist(), inputs.view_weight.tolist()
    pairs = [(0, 0), (0, 1), (1, 2), (2, 3), (2, 4), (2, 5)]
    literal = sum(1 - cosine(w[person], u[row]) for person, row in pairs)
    loss = AngularRegularisationLoss(OCCURRING, reduction)(inputs)["angular"].item()
    assert math.isclose(loss, literal / 6 if reduction == "mean" else literal, rel_tol=1e-12)


def test_it_is_zero_for_the_same_direction_and_two_for_the_opposite(make_batch: Any) -> None:
    w = make_batch([0, 1, 2]).id_weight.detach()
    person_of = OCCURRING.person_of
    assert angular_regularisation(w, 5 * w[person_of], person_of, "mean").item() == pytest.approx(0, abs=1e-12)
    assert angular_regularisation(w, -w[person_of], person_of, "mean").item() == pytest.approx(2)


def test_following_its_gradient_turns_the_classifiers_together(make_batch: Any) -> None:
    inputs = make_batch([0, 1, 2], num_view_classes=6)
    w, u = inputs.id_weight, inputs.view_weight
    before = angular_regularisation(w, u, OCCURRING.person_of, "mean")
    before.backward()
    after = angular_regularisation(w - 0.1 * w.grad, u - 0.1 * u.grad, OCCURRING.person_of, "mean")
    assert after < before


def test_the_gradient_is_that_of_the_formula(make_batch: Any) -> None:
    inputs = make_batch([0, 1, 2], num_view_classes=6)
    assert gradcheck(
        lambda w, u: angular_regularisation(w, u, OCCURRING.person_of, "mean"), (inputs.id_weight, inputs.view_weight)
    )


def test_rows_of_zeros_have_a_finite_gradient() -> None:
    w = torch.zeros((3, 4), requires_grad=True)
    u = torch.zeros((6, 4), requires_grad=True)
    angular_regularisation(w, u, OCCURRING.person_of, "mean").backward()
    assert w.grad is not None
    assert u.grad is not None
    assert w.grad.isfinite().all()
    assert u.grad.isfinite().all()


def test_heads_that_do_not_belong_together_are_refused(make_batch: Any) -> None:
    loss = AngularRegularisationLoss(OCCURRING)
    with pytest.raises(LossError, match="the heads have 3 and 9 rows, where 3 persons and 6"):
        loss(make_batch([0, 1, 2]))
    inputs = make_batch([0, 1, 2], num_view_classes=6)
    with pytest.raises(LossError, match="have 6 and 5 columns"):
        loss(replace(inputs, view_weight=torch.zeros(6, 5)))
    with pytest.raises(LossError, match="AngularRegularisationLoss needs id_weight"):
        loss(replace(inputs, id_weight=None))


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(LossError, match="no reduction 'none': choose one of mean, sum"):
        AngularRegularisationLoss(OCCURRING, "none")  # type: ignore[arg-type]
