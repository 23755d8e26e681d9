"""Fixed label smoothing against plain loops."""

import math
from typing import Any

import pytest
import torch
from torch.autograd import gradcheck

from training.losses import CrossEntropyLoss, LabelSmoothingLoss, LossError
from training.losses.label_smoothing import label_smoothing


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.7])
def test_the_true_class_gives_up_epsilon_which_all_classes_share(make_batch: Any, epsilon: float) -> None:
    inputs = make_batch([0, 2, 1, 2, 3])
    literal = 0.0
    for row, y in zip(inputs.id_logits.tolist(), inputs.persons.tolist(), strict=True):
        normaliser = math.log(sum(math.exp(value) for value in row))
        for j, value in enumerate(row):
            p = epsilon / len(row) + (1 - epsilon if j == y else 0.0)
            literal -= p * (value - normaliser) / 5
    assert math.isclose(LabelSmoothingLoss(epsilon)(inputs)["identity"].item(), literal, rel_tol=1e-12)


def test_without_smoothing_it_is_cross_entropy(make_batch: Any) -> None:
    inputs = make_batch([0, 2, 1, 2, 3])
    torch.testing.assert_close(LabelSmoothingLoss(0.0)(inputs), CrossEntropyLoss()(inputs))


def test_one_person_only_costs_nothing(make_batch: Any) -> None:
    assert LabelSmoothingLoss(0.1)(make_batch([0, 0, 0]))["identity"].item() == 0


def test_the_gradient_is_that_of_the_formula(make_batch: Any) -> None:
    inputs = make_batch([0, 2, 1, 2])
    assert gradcheck(lambda logits: label_smoothing(logits, inputs.persons, 0.1), (inputs.id_logits,))


def test_an_epsilon_that_takes_everything_is_refused() -> None:
    with pytest.raises(LossError, match=r"epsilon 1.0 is outside \[0, 1\)"):
        LabelSmoothingLoss(1.0)
