"""L_v: soft labels that first go to the person's other views, against plain loops and the authors' logs."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from training.losses import LabelSmoothingLoss, LossError, LossInputs, ViewClasses, ViewpointLoss
from training.losses.cross_entropy import soft_cross_entropy
from training.losses.viewpoint import adaptive_view_targets, published_view_targets

Combinations = list[tuple[int, int]]


def literal_targets(
    row: list[float], y: int, v: int, alpha: float, swapped: bool, classes: Combinations
) -> list[float]:
    """The poster's formula, class by class, over whichever classes exist."""
    normaliser = sum(math.exp(value) for value in row)
    r = {combination: math.exp(value) / normaliser for combination, value in zip(classes, row, strict=True)}
    siblings = [combination for combination in classes if combination[0] == y and combination[1] != v]
    strangers = [combination for combination in classes if combination[0] != y]
    epsilon1 = alpha * (1 - r[y, v] - sum(r[combination] for combination in siblings))
    epsilon2 = alpha * (1 - r[y, v])
    if swapped:
        epsilon1, epsilon2 = epsilon2, epsilon1
    t = dict.fromkeys(classes, 0.0)
    t[y, v] = 1.0
    for group, mass in ((siblings, epsilon2), (strangers, epsilon1)):
        for combination in group:
            t[combination] = mass / len(group)
            t[y, v] -= mass / len(group)
    return [t[combination] for combination in classes]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Combinations, list[int], int]:
    """Classes of persons with 1, 2 or 3 views, the class of each image, and a seed."""
    views = st.sets(st.integers(0, 2), min_size=1)
    persons = draw(st.lists(views, min_size=1, max_size=5))
    classes = [(person, view) for person, own in enumerate(persons) for view in sorted(own)]
    images = draw(st.lists(st.integers(0, len(classes) - 1), min_size=1, max_size=6))
    return classes, images, draw(st.integers(0, 1000))


def prepared(classes: Combinations, images: list[int], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn((len(images), len(classes)), generator=generator, dtype=torch.float64)
    return logits, torch.tensor(images), torch.tensor([person for person, _ in classes])


@pytest.mark.parametrize("swapped", [False, True])
@settings(deadline=None, max_examples=60)
@given(case=cases(), alpha=st.floats(0, 0.5))
def test_the_adaptive_labels_are_the_literal_ones_and_sum_to_one(
    swapped: bool, case: tuple[Combinations, list[int], int], alpha: float
) -> None:
    classes, images, seed = case
    logits, at, person_of = prepared(classes, images, seed)
    targets = adaptive_view_targets(logits, at, person_of, alpha, swapped)
    literal = [
        literal_targets(row, *classes[image], alpha, swapped, classes)
        for row, image in zip(logits.tolist(), images, strict=True)
    ]
    torch.testing.assert_close(targets, torch.tensor(literal, dtype=torch.float64), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(targets.sum(1), torch.ones(len(images), dtype=torch.float64))
    assert targets.min() >= 0


def test_with_three_views_each_the_labels_are_the_posters_numbers() -> None:
    """Uniform r over C = 9: ε1 = α·6/9 over C-3 = 6 classes, ε2 = α·8/9 over 2."""
    person_of = ViewClasses.every_view(3).person_of
    logits = torch.zeros((1, 9), dtype=torch.float64)
    (targets,) = adaptive_view_targets(logits, torch.tensor([4]), person_of, 0.25, False).tolist()
    elsewhere, sibling = 0.25 * 6 / 9 / 6, 0.25 * 8 / 9 / 2
    own = 1 - 0.25 * 6 / 9 - 0.25 * 8 / 9
    expected = [elsewhere] * 3 + [sibling, own, sibling] + [elsewhere] * 3
    assert targets == pytest.approx(expected, rel=1e-12)


def test_the_published_labels_share_0_3_among_the_other_views_and_leave_a_single_view_0_6() -> None:
    """Three views, two views, one view: C = 6."""
    person_of = torch.tensor([0, 0, 0, 1, 1, 2])
    targets = published_view_targets(torch.tensor([1, 3, 5]), person_of)
    rest = 0.1 / 6
    expected = [
        [0.15 + rest, 0.6 + rest, 0.15 + rest, rest, rest, rest],
        [rest, rest, rest, 0.6 + rest, 0.3 + rest, rest],
        [0, 0, 0, 0, 0, 0.6],
    ]
    torch.testing.assert_close(targets, torch.tensor(expected))
    torch.testing.assert_close(targets.sum(1), torch.tensor([1.0, 1.0, 0.6]))


def test_the_first_losses_of_the_published_runs_come_out() -> None:
    """ln 751 + ln 2048 = 14.246 before training, and 0.127 less for one person of a single view among 24 x 4 images."""
    exists = torch.zeros((751, 3), dtype=torch.bool)
    exists[:, :2] = True
    exists[:548, 2] = True
    exists[0, 1:] = False
    mapping = ViewClasses(exists)
    assert mapping.num_classes == 2048

    def first_loss(persons: list[int]) -> float:
        n = len(persons)
        inputs = LossInputs(
            features=torch.zeros(n, 1),
            embeddings=torch.zeros(n, 1),
            persons=torch.tensor(persons),
            views=torch.zeros(n, dtype=torch.int64),
            id_logits=torch.zeros(n, 751),
            view_logits=torch.zeros(n, 2048),
        )
        parts = LabelSmoothingLoss(0.1)(inputs) | ViewpointLoss(mapping, rule="published")(inputs)
        return sum(part.item() for part in parts.values())

    several_views = first_loss([person for person in range(1, 25) for _ in range(4)])
    assert several_views == pytest.approx(14.246, abs=1e-3)
    with_a_single_view = first_loss([person for person in range(24) for _ in range(4)])
    assert several_views - with_a_single_view == pytest.approx(0.1271, abs=1e-4)


@pytest.mark.parametrize("rule", ["poster", "youreid", "published"])
def test_images_of_unknown_view_take_no_part(make_batch: Any, rule: Any) -> None:
    inputs = make_batch([0, 0, 1, 1, 2, 2], [0, -1, 2, 1, -1, -1])
    loss = ViewpointLoss(ViewClasses.every_view(3), rule=rule)
    known = inputs.views >= 0
    rows = {name: getattr(inputs, name)[known] for name in ("features", "embeddings", "persons", "views")}
    logits = {name: getattr(inputs, name)[known] for name in ("id_logits", "view_logits")}
    torch.testing.assert_close(loss(inputs), loss(replace(inputs, **rows, **logits)))
    loss(inputs)["viewpoint"].backward()
    assert (inputs.view_logits.grad[~known] == 0).all()
    assert (inputs.view_logits.grad[known] != 0).any()


@pytest.mark.parametrize("rule", ["poster", "youreid", "published"])
def test_without_any_known_view_the_loss_is_zero_and_can_still_go_backward(make_batch: Any, rule: Any) -> None:
    inputs = make_batch([0, 0, 1, 1], [-1, -1, -1, -1])
    loss = ViewpointLoss(ViewClasses.every_view(2), rule=rule)(inputs)["viewpoint"]
    loss.backward()
    assert loss.item() == 0
    assert (inputs.view_logits.grad == 0).all()


@pytest.mark.parametrize("rule", ["poster", "youreid", "published"])
def test_one_person_only_gives_a_finite_loss(make_batch: Any, rule: Any) -> None:
    for views, mapping in (
        ([0, 1, 2], ViewClasses.every_view(1)),
        ([1, 1, 1], ViewClasses(torch.tensor([[0, 1, 0]]) > 0)),
    ):
        inputs = make_batch([0, 0, 0], views, num_view_classes=mapping.num_classes)
        loss = ViewpointLoss(mapping, rule=rule)(inputs)["viewpoint"]
        loss.backward()
        assert loss.isfinite()
        assert inputs.view_logits.grad.isfinite().all()


@pytest.mark.parametrize("rule", ["poster", "youreid", "published"])
def test_the_gradient_holds_the_labels_constant(make_batch: Any, rule: Any) -> None:
    inputs = make_batch([0, 0, 1, 1], [0, 2, 1, 0])
    mapping = ViewClasses.every_view(2)
    at = mapping.classes(inputs.persons, inputs.views)
    if rule == "published":
        frozen = published_view_targets(at, mapping.person_of).double()
    else:
        frozen = adaptive_view_targets(inputs.view_logits, at, mapping.person_of, 0.25, rule == "youreid")
    assert not frozen.requires_grad
    assert gradcheck(lambda logits: soft_cross_entropy(logits, frozen).mean(), (inputs.view_logits,))
    (expected,) = torch.autograd.grad(soft_cross_entropy(inputs.view_logits, frozen).mean(), inputs.view_logits)
    loss = ViewpointLoss(mapping, 0.25, rule)(inputs)["viewpoint"]
    (actual,) = torch.autograd.grad(loss, inputs.view_logits)
    torch.testing.assert_close(actual, expected)


def test_a_head_of_another_width_is_refused(make_batch: Any) -> None:
    with pytest.raises(LossError, match="viewpoint head has 6 columns and there are 9 id x view classes"):
        ViewpointLoss(ViewClasses.every_view(3))(make_batch([0, 1]))


def test_options_outside_their_range_are_refused() -> None:
    with pytest.raises(LossError, match=r"alpha 0.6 is outside \[0, 0.5\]"):
        ViewpointLoss(ViewClasses.every_view(3), 0.6)
    with pytest.raises(LossError, match="no viewpoint rule 'mine': choose one of poster, youreid, published"):
        ViewpointLoss(ViewClasses.every_view(3), rule="mine")  # type: ignore[arg-type]
