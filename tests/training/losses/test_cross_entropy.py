"""Cross-entropy of the identity head, hard and soft labels, against plain loops."""

import math
from typing import Any

import torch
from torch.autograd import gradcheck

from training.losses import CrossEntropyLoss
from training.losses.cross_entropy import cross_entropy, soft_cross_entropy


def literal_log_softmax(row: list[float]) -> list[float]:
    normaliser = math.log(sum(math.exp(value) for value in row))
    return [value - normaliser for value in row]


def test_it_is_the_mean_negative_log_probability_of_the_true_class(make_batch: Any) -> None:
    inputs = make_batch([0, 2, 1, 2, 3])
    rows = inputs.id_logits.tolist()
    literal = -sum(literal_log_softmax(row)[y] for row, y in zip(rows, inputs.persons.tolist(), strict=True)) / 5
    assert math.isclose(CrossEntropyLoss()(inputs)["identity"].item(), literal, rel_tol=1e-12)


def test_soft_labels_weigh_every_class_even_if_they_do_not_sum_to_one() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn((4, 5), generator=generator, dtype=torch.float64)
    targets = torch.rand((4, 5), generator=generator, dtype=torch.float64)
    literal = [
        -sum(p * log_q for p, log_q in zip(labels, literal_log_softmax(row), strict=True))
        for row, labels in zip(logits.tolist(), targets.tolist(), strict=True)
    ]
    torch.testing.assert_close(soft_cross_entropy(logits, targets), torch.tensor(literal, dtype=torch.float64))


def test_the_gradients_are_those_of_the_formula(make_batch: Any) -> None:
    inputs = make_batch([0, 2, 1, 2])
    targets = torch.rand((4, 3), dtype=torch.float64)
    assert gradcheck(lambda logits: cross_entropy(logits, inputs.persons), (inputs.id_logits,))
    assert gradcheck(lambda logits: soft_cross_entropy(logits, targets), (inputs.id_logits,))
