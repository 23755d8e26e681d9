"""Distances within a batch: exact, symmetric, and with a gradient that is finite where two images coincide."""

import math

import torch
from torch.autograd import gradcheck

from training.losses.distances import mean_over, mining_distances, pair_distances


def test_both_kinds_are_the_euclidean_distance() -> None:
    x = torch.randn((6, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mined = mining_distances(x)
    pairs = pair_distances(x, torch.arange(6).repeat(6, 1))
    for i in range(6):
        for j in range(6):
            literal = math.sqrt(sum((a - b) ** 2 for a, b in zip(x[i].tolist(), x[j].tolist(), strict=True)))
            assert math.isclose(mined[i, j].item(), math.inf if i == j else literal, rel_tol=1e-12)
            assert math.isclose(pairs[i, j].item(), 1e-6 if i == j else literal, rel_tol=1e-9)


def test_near_neighbours_far_from_the_origin_keep_their_order_in_float32() -> None:
    """|x|² + |y|² - 2xy would round all of these to the same distance."""
    x = torch.tensor([[1000.0], [1000.001], [1000.003], [999.998]])
    assert mining_distances(x)[0].argsort().tolist() == [1, 3, 2, 0]


def test_the_gradient_is_that_of_the_formula() -> None:
    x = torch.randn((5, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    partners = torch.tensor([[1, 2], [0, 3], [4, 4], [2, 0], [1, 3]])
    assert gradcheck(lambda features: pair_distances(features, partners), (x,))


def test_coinciding_images_have_a_gradient_of_zero() -> None:
    x = torch.ones((3, 4), requires_grad=True)
    pair_distances(x, torch.tensor([[1], [2], [0]])).sum().backward()
    assert x.grad is not None
    assert (x.grad == 0).all()


def test_the_mean_runs_over_what_counts_and_is_zero_where_nothing_does() -> None:
    values = torch.tensor([1.0, 5.0, torch.inf], requires_grad=True)
    assert mean_over(values, torch.tensor([True, True, False])).item() == 3
    nothing = mean_over(values, torch.tensor([False, False, False]))
    nothing.backward()
    assert nothing.item() == 0
    assert values.grad is not None
    assert (values.grad == 0).all()
