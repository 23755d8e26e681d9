"""Every loss is computed in float32, under autocast and from half-precision outputs of the network alike."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from training.losses import (
    AdaptiveSmoothingLoss,
    BatchHardTripletLoss,
    CrossEntropyLoss,
    LabelSmoothingLoss,
    Loss,
    LossInputs,
    SupportNeighbourLoss,
    ViewClasses,
    ViewpointAwareLoss,
    ViewpointLoss,
    total,
)

MAPPING = ViewClasses.every_view(3)
LOSSES: dict[str, Loss] = {
    "cross-entropy": CrossEntropyLoss(),
    "label smoothing": LabelSmoothingLoss(),
    "adaptive, poster": AdaptiveSmoothingLoss(),
    "adaptive, vaal": AdaptiveSmoothingLoss(rule="vaal"),
    "adaptive, youreid": AdaptiveSmoothingLoss(rule="youreid"),
    "view, poster": ViewpointLoss(MAPPING),
    "view, youreid": ViewpointLoss(MAPPING, rule="youreid"),
    "view, published": ViewpointLoss(MAPPING, rule="published"),
    "viewpoint-aware": ViewpointAwareLoss.poster(MAPPING),
    "triplet": BatchHardTripletLoss(),
    "triplet, soft": BatchHardTripletLoss("soft"),
    "support, range": SupportNeighbourLoss(3),
    "support, nearest": SupportNeighbourLoss(3, squeeze="nearest"),
    "support, batch": SupportNeighbourLoss(3, squeeze="batch"),
}
TENSORS = ("features", "embeddings", "id_logits", "view_logits", "id_weight", "view_weight")


def batch_of(make_batch: Any, dtype: torch.dtype) -> LossInputs:
    inputs: LossInputs = make_batch([0, 0, 0, 1, 1, 1, 2, 2], dim=32, dtype=dtype)
    return inputs


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_autocast_changes_nothing(make_batch: Any, loss: Loss) -> None:
    inputs = batch_of(make_batch, torch.float32)
    expected = total(loss(inputs))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = total(loss(inputs))
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_half_precision_outputs_are_widened_before_anything_is_computed(
    make_batch: Any, loss: Loss, dtype: torch.dtype
) -> None:
    inputs = batch_of(make_batch, dtype)
    widened = {name: getattr(inputs, name).float() for name in TENSORS}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = total(loss(inputs))
    assert value.dtype == torch.float32
    assert torch.equal(value, total(loss(replace(inputs, **widened))))
    value.backward()
    gradients = [getattr(inputs, name).grad for name in TENSORS]
    assert any(gradient is not None for gradient in gradients)
    assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_double_precision_stays_double(make_batch: Any, loss: Loss) -> None:
    assert total(loss(batch_of(make_batch, torch.float64))).dtype == torch.float64


@pytest.mark.parametrize("squeeze", ["range", "nearest", "batch"])
def test_support_neighbour_at_a_50_does_not_overflow_from_float16(make_batch: Any, squeeze: Any) -> None:
    """Features whose squares overflow float16, at the largest distance two directions can have."""
    features = torch.tensor([[600.0, 0], [-600, 0], [600, 1], [-600, 1]], dtype=torch.float16, requires_grad=True)
    inputs = replace(make_batch([0, 0, 1, 1]), features=features)
    parts = SupportNeighbourLoss(3, 50.0, squeeze=squeeze)(inputs)
    total(parts).backward()
    assert parts["separation"].item() == pytest.approx(100, rel=0.02)
    assert features.grad is not None
    assert features.grad.isfinite().all()
