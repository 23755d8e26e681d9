from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from training.data import Picture, Split, Viewpoint
from training.fit_errors import RecipeError
from training.loss_building import build_task, freeze_unused
from training.losses import CrossEntropyLoss, total
from training.networks import NetworkOutput, ReidNetwork
from training.objective import Objective, Term, viewpoint_cross_entropy
from training.recipe import Recipe

MakeRecipe = Callable[..., Recipe]

PERSONS = torch.tensor([0, 0, 1, 1, 2, 2])
VIEWS = torch.tensor([0, 1, 2, -1, 0, 0])


def people(*viewpoints: Viewpoint | None) -> Split:
    """Two pictures a person."""
    return Split(
        tuple(Picture(Path(f"{at}.jpg"), f"{at}.jpg", str(at // 2), "c1", view) for at, view in enumerate(viewpoints))
    )


ALL_KNOWN = people("front", "side", "back", "back", "front", "front")
ONE_UNKNOWN = people("front", "side", "back", None, "front", "front")


def run(recipe: Recipe, train: Split = ONE_UNKNOWN, epoch: int = 1) -> tuple[dict[str, float], ReidNetwork]:
    """The parts of one batch, and the network after its backward pass."""
    task = build_task(recipe, train)
    torch.manual_seed(0)
    network = ReidNetwork(task.settings)
    freeze_unused(network, recipe.loss)
    output = network(torch.randn(6, 3, 32, 16))
    parts = task.objective(output, network, PERSONS, VIEWS, epoch)
    total(parts).backward()  # type: ignore[no-untyped-call]
    return {name: value.item() for name, value in parts.items()}, network


def test_every_term_is_a_part_with_its_weight(with_loss: MakeRecipe) -> None:
    once, _ = run(with_loss(label_smoothing={}, triplet={}))
    twice, _ = run(with_loss(label_smoothing={"weight": 2.0}, triplet={"weight": 0.5}))
    assert once.keys() == {"identity", "triplet", "viewpoint_classifier"}
    assert twice["identity"] == pytest.approx(2 * once["identity"])
    assert twice["triplet"] == pytest.approx(0.5 * once["triplet"])


def test_the_viewpoint_weight_can_change_from_an_epoch_on(with_loss: MakeRecipe) -> None:
    plan = {"weight": 1.0, "later_weight": 0.3, "later_from": 81}
    recipe = with_loss(label_smoothing={}, viewpoint=plan)
    before, after = run(recipe, ALL_KNOWN, 80)[0], run(recipe, ALL_KNOWN, 81)[0]
    assert after["viewpoint"] == pytest.approx(0.3 * before["viewpoint"])
    assert after["identity"] == before["identity"]


@pytest.mark.parametrize(
    "tables",
    [
        {"cross_entropy": {}},
        {"adaptive_smoothing": {}, "angular": {}},
        {"viewpoint": {}, "triplet": {}},
        {"viewpoint": {}, "angular": {}, "triplet": {}},
        {"triplet": {}},
        {"support_neighbour": {}},
        {"support_neighbour": {"space": "embeddings"}},
        {"adaptive_smoothing": {}, "viewpoint": {}, "angular": {}, "support_neighbour": {}},
    ],
)
@pytest.mark.parametrize("local_parts", [False, True])
def test_every_parameter_that_is_trained_gets_a_gradient(
    with_loss: MakeRecipe, tables: dict[str, object], local_parts: bool
) -> None:
    recipe = with_loss(**tables)
    network = replace(recipe.network, local_parts=local_parts, embedding_dim=8 if local_parts else None)
    _, trained = run(replace(recipe, network=network), ALL_KNOWN)
    missing = [name for name, p in trained.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []  # data-parallel training would wait for these forever


def test_the_identity_term_is_the_mean_over_the_parts_of_a_striped_network() -> None:
    logits = [torch.randn(6, 3) for _ in range(6)]
    rows = torch.randn(6, 8)
    output = NetworkOutput(rows, rows, logits[0], None, None, tuple(rows for _ in logits), tuple(logits))
    term = Term(CrossEntropyLoss(), 1.0, every_part=True)
    parts = Objective((term,))(output, _Heads(), PERSONS, VIEWS, 1)
    expected = torch.stack([functional.cross_entropy(part, PERSONS) for part in logits]).mean()
    assert parts["identity"] == pytest.approx(float(expected))


class _Heads:
    id_centres = torch.zeros(3, 8)


def test_the_viewpoint_classifier_learns_from_the_known_views_only() -> None:
    logits = torch.randn(6, 3, requires_grad=True)
    loss = viewpoint_cross_entropy(logits, VIEWS)
    known = VIEWS >= 0
    assert loss.item() == pytest.approx(functional.cross_entropy(logits[known], VIEWS[known]).item())
    loss.backward()  # type: ignore[no-untyped-call]
    assert isinstance(logits.grad, Tensor)
    assert logits.grad[3].tolist() == [0, 0, 0]


def test_the_viewpoint_classifiers_loss_is_zero_where_no_view_is_known() -> None:
    logits = torch.randn(6, 3, requires_grad=True)
    loss = viewpoint_cross_entropy(logits, torch.full((6,), -1))
    loss.backward()  # type: ignore[no-untyped-call]
    assert (loss.item(), logits.grad is not None and bool(logits.grad.eq(0).all())) == (0, True)


def test_missing_viewpoints_fail_with_their_number_or_are_masked(with_loss: MakeRecipe) -> None:
    terms: dict[str, object] = {"adaptive_smoothing": {}, "viewpoint": {}}
    with pytest.raises(RecipeError, match=r'1 of 6 training pictures have none: .* or set missing_viewpoints = "mask"'):
        build_task(with_loss(**terms), ONE_UNKNOWN)
    masked = build_task(with_loss(**terms, missing_viewpoints="mask"), ONE_UNKNOWN)
    assert masked.settings.view_classes == 4
    assert build_task(with_loss(**terms), ALL_KNOWN).settings.view_classes == 4
    nothing = people(*[None] * 6)
    with pytest.raises(RecipeError, match="none of 6 training pictures has one"):
        build_task(with_loss(**terms, missing_viewpoints="mask"), nothing)


def test_the_heads_are_those_that_the_losses_use(with_loss: MakeRecipe) -> None:
    plain = build_task(with_loss(cross_entropy={}), ALL_KNOWN).settings
    assert (plain.persons, plain.view_classes, plain.viewpoint_classifier) == (3, None, True)
    assert build_task(with_loss(cross_entropy={}), people(*[None] * 6)).settings.viewpoint_classifier is False
    every = build_task(with_loss(cross_entropy={}, viewpoint={"classes": "every"}), ALL_KNOWN).settings
    assert every.view_classes == 9
