"""From a recipe's [loss] and the labels to the objective and to the heads that it needs, and no others."""

from dataclasses import dataclass

import torch

from training.data import Split
from training.fit_errors import RecipeError
from training.losses import (
    AdaptiveSmoothingLoss,
    AngularRegularisationLoss,
    BatchHardTripletLoss,
    CrossEntropyLoss,
    LabelSmoothingLoss,
    SupportNeighbourLoss,
    ViewClasses,
    ViewpointLoss,
)
from training.networks import NetworkSettings, ReidNetwork
from training.objective import Objective, Term
from training.recipe import LossTable, Recipe


@dataclass(frozen=True, slots=True)
class Task:
    """What is learned from one training set.

    view_classes: of the viewpoint head; None where no term has one.
    viewpoint_classifier: whether its 3-way classifier is learned.
    """

    settings: NetworkSettings
    objective: Objective
    view_classes: ViewClasses | None
    viewpoint_classifier: bool


def build_task(recipe: Recipe, train: Split) -> Task:
    """Checks that the training set has the viewpoints that the recipe needs."""
    loss = recipe.loss
    view_classes = _view_classes(recipe, train) if loss.needs_viewpoints else None
    classifier = recipe.network.viewpoint_classifier and train.without_viewpoint < len(train)
    settings = recipe.network.settings(
        persons=len(train.people),
        view_classes=None if view_classes is None else view_classes.num_classes,
        viewpoint_classifier=classifier,
    )
    return Task(settings, Objective(tuple(_terms(loss, view_classes))), view_classes, classifier)


def freeze_unused(network: ReidNetwork, loss: LossTable) -> None:
    """Take what no term reaches out of training: data-parallel training waits for a gradient of every parameter."""
    if not loss.has_identity:
        network.id_heads.requires_grad_(False)
    if loss.angular is not None:
        network.id_centres.requires_grad_(True)
    metric = [term for term in (loss.triplet, loss.support_neighbour) if term is not None]
    all_necks = loss.has_identity or any(term.space == "embeddings" for term in metric)
    if not all_necks:
        network.necks[1:].requires_grad_(False)
        if loss.viewpoint is None:
            network.necks[0].requires_grad_(False)


def _view_classes(recipe: Recipe, train: Split) -> ViewClasses:
    unknown, images = train.without_viewpoint, len(train)
    needs = f"recipe {recipe.name} needs viewpoints and"
    remedy = "give a file of them in the spec (..,viewpoints=FILE), or choose a recipe without [loss.viewpoint]"
    if unknown == images:
        raise RecipeError(f"{needs} none of {images:,} training pictures has one: {remedy}")
    if unknown and recipe.loss.missing_viewpoints == "fail":
        raise RecipeError(
            f"{needs} {unknown:,} of {images:,} training pictures have none: {remedy}, "
            'or set missing_viewpoints = "mask" in [loss] to leave those pictures out of that term'
        )
    if recipe.loss.viewpoint is not None and recipe.loss.viewpoint.classes == "every":
        return ViewClasses.every_view(len(train.people))
    return ViewClasses.occurring(torch.from_numpy(train.labels), torch.from_numpy(train.views))


def _terms(loss: LossTable, view_classes: ViewClasses | None) -> list[Term]:
    terms = []
    if (plain := loss.cross_entropy) is not None:
        terms.append(Term(CrossEntropyLoss(), plain.weight, every_part=True))
    if (fixed := loss.label_smoothing) is not None:
        terms.append(Term(LabelSmoothingLoss(fixed.epsilon), fixed.weight, every_part=True))
    if (adaptive := loss.adaptive_smoothing) is not None:
        terms.append(Term(AdaptiveSmoothingLoss(adaptive.alpha, adaptive.rule), adaptive.weight, every_part=True))
    if (viewpoint := loss.viewpoint) is not None:
        assert view_classes is not None
        l_v = ViewpointLoss(view_classes, viewpoint.alpha, viewpoint.rule)
        terms.append(Term(l_v, viewpoint.weight, viewpoint.later_weight, viewpoint.later_from))
    if (angular := loss.angular) is not None:
        assert view_classes is not None
        terms.append(Term(AngularRegularisationLoss(view_classes, angular.reduction), angular.weight))
    if (triplet := loss.triplet) is not None:
        terms.append(Term(BatchHardTripletLoss(triplet.margin, triplet.space), triplet.weight))
    if (support := loss.support_neighbour) is not None:
        sn = SupportNeighbourLoss(support.k, support.a, support.w, support.squeeze, support.space)
        terms.append(Term(sn, support.weight))
    return terms
