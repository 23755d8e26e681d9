"""`LossInputs` refuses what no loss could use, in sentences; `total` adds the parts."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
import torch

from training.losses import CrossEntropyLoss, Loss, LossError, LossInputs, total


def test_a_fitting_batch_is_accepted_and_cannot_be_changed(make_batch: Any) -> None:
    inputs = make_batch([0, 0, 1, 1])
    with pytest.raises(FrozenInstanceError):
        inputs.persons = torch.zeros(4, dtype=torch.int64)


def test_the_optional_tensors_may_be_absent(make_batch: Any) -> None:
    full = make_batch([0, 1])
    bare = LossInputs(full.features, full.embeddings, full.persons, full.views)
    assert bare.id_logits is None
    assert bare.view_weight is None


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("persons", torch.tensor([0, 5, 1, 1]), "person label 5 is outside the identity head, which has 2 classes"),
        ("persons", torch.tensor([0, -2, 1, 1]), "person label -2 is negative"),
        ("persons", torch.tensor([0.0, 1.0, 0.0, 1.0]), r"persons must be int64 \(4,\).*not float32 \(4,\)"),
        ("views", torch.tensor([0, 1, 3, 1]), "view label 3 is none of"),
        ("views", torch.tensor([0, -2, 2, 1]), "view label -2 is none of"),
        ("views", torch.tensor([0, 1]), r"views must be int64 \(4,\)"),
        ("features", torch.zeros(3, 6), "features must be floating point with 4 rows"),
        ("embeddings", torch.zeros(4), "embeddings must be floating point with 4 rows"),
        ("id_logits", torch.zeros(4, 2, dtype=torch.int64), "id_logits must be floating point"),
        ("view_logits", torch.zeros(5, 6), r"view_logits must be floating point with 4 rows.*\(5, 6\)"),
        ("id_weight", torch.zeros(3, 6), "id_weight must be two-dimensional with 2 rows"),
        ("view_weight", torch.zeros(6), "view_weight must be two-dimensional with 6 rows"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(make_batch: Any, field: str, value: torch.Tensor, sentence: str) -> None:
    with pytest.raises(LossError, match=sentence):
        replace(make_batch([0, 0, 1, 1]), **{field: value})


def test_an_empty_batch_is_refused() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    with pytest.raises(LossError, match="the batch is empty"):
        LossInputs(torch.zeros(0, 2), torch.zeros(0, 2), none, none)


def test_a_loss_says_which_head_it_lacks(make_batch: Any) -> None:
    with pytest.raises(LossError, match="CrossEntropyLoss needs id_logits and the batch has none"):
        CrossEntropyLoss()(replace(make_batch([0, 1]), id_logits=None))


def test_the_total_is_the_sum_of_the_parts_and_carries_their_gradients() -> None:
    first, second = torch.tensor(2.0, requires_grad=True), torch.tensor(5.0, requires_grad=True)
    loss = total({"first": 3 * first, "second": second})
    loss.backward()
    assert loss.item() == 11
    assert first.grad is not None
    assert second.grad is not None
    assert (first.grad.item(), second.grad.item()) == (3, 1)


def test_a_loss_without_a_forward_cannot_be_made() -> None:
    class Nothing(Loss):
        pass

    with pytest.raises(TypeError, match="forward"):
        Nothing()  # type: ignore[abstract]
