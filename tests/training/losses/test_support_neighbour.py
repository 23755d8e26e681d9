"""The support-neighbour loss against the authors' procedure written as plain loops, and its degenerate batches."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional

from training.losses import LossError, SupportNeighbourLoss, total
from training.losses.support_neighbour import Squeeze, support_neighbour

SQUEEZES: tuple[Squeeze, ...] = ("range", "nearest", "batch")


def distance(x: Tensor, i: int, j: int) -> Tensor:
    return (x[i] - x[j]).square().sum().clamp(min=1e-12).sqrt()


def neighbours_below_the_next(x: Tensor, i: int, k: int) -> list[int]:
    """As the authors select: strictly nearer than the (k+1)-th."""
    others = [j for j in range(len(x)) if j != i]
    ordered = sorted(distance(x, i, j).item() for j in others)
    threshold = ordered[k] if k < len(ordered) else math.inf
    return [j for j in others if distance(x, i, j).item() < threshold]


def neighbours_by_row_among_ties(x: Tensor, i: int, k: int) -> list[int]:
    others = [j for j in range(len(x)) if j != i]
    return sorted(others, key=lambda j: (distance(x, i, j).item(), j))[:k]


def literal_support_neighbour(
    x: Tensor, persons: list[int], k: int, a: float, squeeze: Squeeze, select: Any
) -> tuple[Tensor, Tensor]:
    separations, squeezes = [], []
    for i in range(len(persons)):
        positives = [j for j in range(len(persons)) if j != i and persons[j] == persons[i]]
        if not positives:
            continue
        near = select(x, i, k)
        p = [j for j in near if persons[j] == persons[i]]
        q = [j for j in near if persons[j] != persons[i]]
        if not p:
            p = [min(positives, key=lambda j: distance(x, i, j).item())]
        of_p = sum((a * (1 - distance(x, i, j))).exp() for j in p)
        of_q = sum((a * (1 - distance(x, i, j))).exp() for j in q)
        separations.append(-(of_p / (of_p + of_q)).log())
        within = sorted((distance(x, i, j) for j in (positives if squeeze == "batch" else p)), key=Tensor.item)
        squeezes.append(within[0] if squeeze == "nearest" or len(within) == 1 else within[-1] - within[0])
    if not separations:
        return x.new_zeros(()), x.new_zeros(())
    return torch.stack(separations).mean(), torch.stack(squeezes).mean()


def assert_same_with_gradients(x: Tensor, actual: tuple[Tensor, Tensor], literal: tuple[Tensor, Tensor]) -> None:
    for ours, theirs in zip(actual, literal, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)
        (gradient,) = torch.autograd.grad(ours, x, retain_graph=True)
        expected = torch.autograd.grad(theirs, x, retain_graph=True)[0] if theirs.requires_grad else torch.zeros_like(x)
        torch.testing.assert_close(gradient, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("squeeze", SQUEEZES)
@settings(deadline=None, max_examples=25)
@given(
    persons=st.lists(st.integers(0, 3), min_size=1, max_size=10),
    k=st.integers(1, 12),
    a=st.sampled_from([1.0, 10.0, 50.0]),
    seed=st.integers(0, 1000),
)
def test_loss_and_gradient_are_those_of_the_authors_loop(
    squeeze: Squeeze, persons: list[int], k: int, a: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = functional.normalize(torch.randn((len(persons), 4), generator=generator, dtype=torch.float64)).requires_grad_()
    literal = literal_support_neighbour(x, persons, k, a, squeeze, neighbours_below_the_next)
    assert_same_with_gradients(x, support_neighbour(x, torch.tensor(persons), k, a, squeeze), literal)


@settings(deadline=None, max_examples=40)
@given(
    points=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=9),
    k=st.integers(1, 6),
    data=st.data(),
)
def test_ties_are_broken_by_row(points: list[Any], k: int, data: st.DataObject) -> None:
    persons = data.draw(st.lists(st.integers(0, 2), min_size=len(points), max_size=len(points)))
    x = torch.tensor(points, dtype=torch.float64)
    literal = literal_support_neighbour(x, persons, k, 3.0, "nearest", neighbours_by_row_among_ties)
    torch.testing.assert_close(support_neighbour(x, torch.tensor(persons), k, 3.0, "nearest"), literal)


@pytest.mark.parametrize("squeeze", SQUEEZES)
def test_the_gradients_are_those_of_the_formula(make_batch: Any, squeeze: Squeeze) -> None:
    inputs = make_batch([0, 0, 0, 0, 1, 1, 1, 2, 2])
    assert gradcheck(lambda x: support_neighbour(x, inputs.persons, 4, 2.0, squeeze), (inputs.features,))
    loss = SupportNeighbourLoss(4, 5.0, 0.5, squeeze)
    assert gradcheck(lambda x: total(loss(replace(inputs, features=x))), (inputs.features,))


def test_the_parts_are_weighted_and_the_features_normalised(make_batch: Any) -> None:
    inputs = make_batch([0, 0, 1, 1, 2, 2])
    unit = inputs.features / inputs.features.norm(dim=1, keepdim=True)
    l_sep, l_sq = support_neighbour(unit, inputs.persons, 3, 20.0, "nearest")
    parts = SupportNeighbourLoss(3, 20.0, 0.4, "nearest")(inputs)
    torch.testing.assert_close(parts, {"separation": l_sep, "squeeze": 0.4 * l_sq})
    scaled = SupportNeighbourLoss(3, 20.0, 0.4, "nearest")(replace(inputs, features=7 * inputs.features))
    torch.testing.assert_close(scaled, parts)


def test_it_measures_in_the_space_it_is_told(make_batch: Any) -> None:
    inputs = make_batch([0, 0, 1, 1])
    swapped = replace(inputs, features=inputs.embeddings, embeddings=inputs.features)
    torch.testing.assert_close(SupportNeighbourLoss(2)(inputs), SupportNeighbourLoss(2, space="embeddings")(swapped))
    assert total(SupportNeighbourLoss(2)(inputs)) != total(SupportNeighbourLoss(2)(swapped))


def test_with_no_positive_among_the_neighbours_the_nearest_of_the_batch_supports() -> None:
    """On a line: person 0 at the ends, 0 and 3; both have the two strangers at 1 and 2 for their two neighbours."""
    x = torch.tensor([[0.0], [3.0], [1.0], [2.0]], dtype=torch.float64)
    l_sep, l_sq = support_neighbour(x, torch.tensor([0, 0, 1, 2]), 2, 1.0, "range")
    literal_sep = math.log((math.exp(-3) + math.exp(-1) + math.exp(-2)) / math.exp(-3))
    assert l_sep.item() == pytest.approx(literal_sep)
    assert l_sq.item() == pytest.approx(3)


@pytest.mark.parametrize("squeeze", SQUEEZES)
def test_one_person_only_has_nothing_to_separate(make_batch: Any, squeeze: Squeeze) -> None:
    inputs = make_batch([0, 0, 0, 0])
    loss = SupportNeighbourLoss(2, squeeze=squeeze)(inputs)
    assert loss["separation"].item() == 0
    assert loss["squeeze"].item() > 0
    (gradient,) = torch.autograd.grad(loss["separation"], inputs.features)
    assert (gradient == 0).all()


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
@pytest.mark.parametrize("persons", [[0, 0, 0, 0], [0, 1, 2, 3], [0, 0, 1]])
def test_no_step_of_the_backward_pass_is_not_a_number(make_batch: Any, persons: list[int]) -> None:
    """Empty Q_i, empty P_i and one of each kind, with torch watching every step."""
    inputs = make_batch(persons)
    with torch.autograd.detect_anomaly():
        total(SupportNeighbourLoss(2)(inputs)).backward()
    assert inputs.features.grad.isfinite().all()


@pytest.mark.parametrize("squeeze", SQUEEZES)
@pytest.mark.parametrize("persons", [[0, 1, 2, 3], [0]])
def test_without_any_positive_the_loss_is_zero_with_a_gradient_of_zeros(
    make_batch: Any, persons: list[int], squeeze: Squeeze
) -> None:
    inputs = make_batch(persons)
    loss = total(SupportNeighbourLoss(2, squeeze=squeeze)(inputs))
    loss.backward()
    assert loss.item() == 0
    assert (inputs.features.grad == 0).all()


def test_anchors_without_a_positive_do_not_dilute_the_mean(make_batch: Any) -> None:
    """Persons 1 and 2 have one image each; the mean is that of person 0's two anchors."""
    inputs = make_batch([0, 0, 1, 2])
    literal = literal_support_neighbour(inputs.features, [0, 0, 1, 2], 3, 2.0, "range", neighbours_below_the_next)
    torch.testing.assert_close(support_neighbour(inputs.features, inputs.persons, 3, 2.0, "range"), literal)


@pytest.mark.parametrize("squeeze", SQUEEZES)
def test_more_neighbours_than_images_means_all_images(make_batch: Any, squeeze: Squeeze) -> None:
    inputs = make_batch([0, 0, 1, 1, 1])
    torch.testing.assert_close(
        SupportNeighbourLoss(100, squeeze=squeeze)(inputs), SupportNeighbourLoss(4, squeeze=squeeze)(inputs)
    )


@pytest.mark.parametrize("squeeze", SQUEEZES)
def test_coinciding_features_have_a_finite_gradient(make_batch: Any, squeeze: Squeeze) -> None:
    features = torch.ones((6, 6), requires_grad=True)
    inputs = replace(make_batch([0, 0, 0, 1, 1, 1]), features=features)
    parts = SupportNeighbourLoss(5, squeeze=squeeze)(inputs)
    total(parts).backward()
    assert parts["separation"].item() == pytest.approx(math.log(5 / 2))
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_an_overwhelming_negative_costs_its_distance_and_never_overflows() -> None:
    """Antipodal positives, a negative on top of the anchor, a = 1000: exponents far beyond float32's e^88."""
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 1e-3], [-1.0, 1e-3]], requires_grad=True)
    l_sep, l_sq = support_neighbour(x, torch.tensor([0, 0, 1, 1]), 3, 1000.0, "range")
    (l_sep + l_sq).backward()
    assert l_sep.item() == pytest.approx(1999, rel=1e-3)
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_a_tiny_separation_keeps_its_digits_in_float32() -> None:
    """Here the loss is about 1e-6, which the difference of two log-sum-exps near -50 would round to nothing."""
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 1.18]])
    literal, _ = literal_support_neighbour(x.double(), [0, 0, 1], 2, 50.0, "range", neighbours_by_row_among_ties)
    l_sep, _ = support_neighbour(x, torch.tensor([0, 0, 1]), 2, 50.0, "range")
    assert l_sep.item() == pytest.approx(literal.item(), rel=1e-4)


def test_options_outside_their_range_are_refused() -> None:
    with pytest.raises(LossError, match="k 0 is not a number of neighbours"):
        SupportNeighbourLoss(0)
    with pytest.raises(LossError, match=r"a -1\.0 must be positive"):
        SupportNeighbourLoss(a=-1.0)
    with pytest.raises(LossError, match=r"w -0\.1 must not be negative"):
        SupportNeighbourLoss(w=-0.1)
    with pytest.raises(LossError, match="no squeeze 'both': choose one of range, nearest, batch"):
        SupportNeighbourLoss(squeeze="both")  # type: ignore[arg-type]
