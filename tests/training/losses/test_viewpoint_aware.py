"""L_va = L_y + w_v·L_v + beta·L_R."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from training.losses import (
    AdaptiveSmoothingLoss,
    AngularRegularisationLoss,
    CrossEntropyLoss,
    LabelSmoothingLoss,
    LossError,
    ViewClasses,
    ViewpointAwareLoss,
    ViewpointLoss,
    total,
)

MAPPING = ViewClasses.every_view(3)


def test_it_is_the_weighted_sum_of_its_three_terms(make_batch: Any) -> None:
    inputs = make_batch([0, 0, 1, 2])
    identity, viewpoint, angular = CrossEntropyLoss(), ViewpointLoss(MAPPING), AngularRegularisationLoss(MAPPING)
    loss = ViewpointAwareLoss(identity, viewpoint, angular, w_v=0.3, beta=0.2)
    parts = loss(inputs)
    torch.testing.assert_close(parts["identity"], identity(inputs)["identity"])
    torch.testing.assert_close(parts["viewpoint"], 0.3 * viewpoint(inputs)["viewpoint"])
    torch.testing.assert_close(parts["angular"], 0.2 * angular(inputs)["angular"])
    assert list(parts) == ["identity", "viewpoint", "angular"]
    torch.testing.assert_close(total(parts), parts["identity"] + parts["viewpoint"] + parts["angular"])


def test_the_poster_objective_is_adaptive_and_reaches_every_head(make_batch: Any) -> None:
    inputs = make_batch([0, 0, 1, 2])
    loss = ViewpointAwareLoss.poster(MAPPING, alpha=0.2, beta=0.5)
    parts = loss(inputs)
    torch.testing.assert_close(parts["identity"], AdaptiveSmoothingLoss(0.2)(inputs)["identity"])
    torch.testing.assert_close(parts["viewpoint"], ViewpointLoss(MAPPING, 0.2)(inputs)["viewpoint"])
    torch.testing.assert_close(parts["angular"], 0.5 * AngularRegularisationLoss(MAPPING)(inputs)["angular"])
    total(parts).backward()
    for tensor in (inputs.id_logits, inputs.view_logits, inputs.id_weight, inputs.view_weight):
        assert (tensor.grad != 0).any()


def test_the_published_objective_has_fixed_labels_and_no_angular_term(make_batch: Any) -> None:
    inputs = replace(make_batch([0, 0, 1, 2]), id_weight=None, view_weight=None)
    loss = ViewpointAwareLoss.published(MAPPING)
    parts = loss(inputs)
    assert list(parts) == ["identity", "viewpoint"]
    torch.testing.assert_close(parts["identity"], LabelSmoothingLoss(0.1)(inputs)["identity"])
    expected = ViewpointLoss(MAPPING, rule="published")(inputs)["viewpoint"]
    torch.testing.assert_close(parts["viewpoint"], expected)
    loss.w_v = 0.3
    torch.testing.assert_close(loss(inputs)["viewpoint"], 0.3 * expected)


def test_weights_that_make_no_sense_are_refused() -> None:
    with pytest.raises(LossError, match=r"beta is 0\.1 but there is no angular regularisation"):
        ViewpointAwareLoss(CrossEntropyLoss(), ViewpointLoss(MAPPING), beta=0.1)
    with pytest.raises(LossError, match="neither can be negative"):
        ViewpointAwareLoss(CrossEntropyLoss(), ViewpointLoss(MAPPING), w_v=-1.0)
