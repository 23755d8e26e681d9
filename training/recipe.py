"""What a recipe says: the network, the losses, the batches and how long they meet. Read by `read_recipe`."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, TypeAlias

from models import InputSpec
from training.data.augmentation import AugmentationSettings
from training.fit_errors import RecipeError
from training.losses.adaptive_smoothing import SmoothingRule
from training.losses.angular_regularisation import PairReduction
from training.losses.batch import Space
from training.losses.support_neighbour import Squeeze
from training.losses.triplet import Margin
from training.losses.viewpoint import ViewRule
from training.networks import NetworkSettings, Weights
from training.networks.heads import HeadKind
from training.networks.neck import Neck
from training.networks.pooling import Pooling
from training.served_input import served_input

ResizeFilter: TypeAlias = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


def _at_least(name: str, value: float, least: float) -> None:
    if not value >= least:
        raise RecipeError(f"{name} is {value}: give at least {least}")


@dataclass(frozen=True, slots=True)
class NetworkTable:
    """`NetworkSettings` but for what the data decides, and how crops are resized for it.

    weights: where the backbone starts: "random", "published" or the path of a file.
    viewpoint_classifier: learn the 3-way classifier beside the embedding, where any training picture has a viewpoint.
    """

    backbone: str
    height: int
    width: int
    resize: ResizeFilter = "bilinear"
    weights: str = "random"
    pooling: Pooling = "avg"
    embedding_dim: int | None = None
    neck: Neck = "bn"
    head: HeadKind = "linear"
    scale: float = 64.0
    margin: float = 0.2
    local_parts: bool = False
    viewpoint_classifier: bool = True

    def __post_init__(self) -> None:
        self.settings(persons=2)

    def settings(
        self, persons: int, view_classes: int | None = None, viewpoint_classifier: bool = False
    ) -> NetworkSettings:
        shared = {each.name for each in fields(NetworkSettings)} & {each.name for each in fields(self)}
        asked = {name: getattr(self, name) for name in shared - {"viewpoint_classifier"}}
        return NetworkSettings(
            **asked, persons=persons, view_classes=view_classes, viewpoint_classifier=viewpoint_classifier
        )

    @property
    def input(self) -> InputSpec:
        """How crops are made for it."""
        return served_input(self.height, self.width, self.resize)

    @property
    def start(self) -> Weights:
        """`weights` as `ReidNetwork` takes it."""
        if self.weights == "random":
            return None
        return "published" if self.weights == "published" else Path(self.weights).expanduser()


@dataclass(frozen=True, slots=True)
class CrossEntropyTerm:
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class LabelSmoothingTerm:
    epsilon: float = 0.1
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class AdaptiveSmoothingTerm:
    alpha: float = 0.25
    rule: SmoothingRule = "poster"
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ViewpointTerm:
    """classes: "occurring", those id x view combinations that are in the training set, or "every", three a person.
    weight: w_v, which becomes `later_weight` from the epoch `later_from` on, counted from 1."""

    alpha: float = 0.25
    rule: ViewRule = "poster"
    classes: Literal["occurring", "every"] = "occurring"
    weight: float = 1.0
    later_weight: float | None = None
    later_from: int | None = None

    def __post_init__(self) -> None:
        if (self.later_weight is None) != (self.later_from is None):
            raise RecipeError("later_weight and later_from belong together: give both or neither")


@dataclass(frozen=True, slots=True)
class AngularTerm:
    """weight: beta."""

    reduction: PairReduction = "mean"
    weight: float = 0.1


@dataclass(frozen=True, slots=True)
class TripletTerm:
    margin: Margin = 0.3
    space: Space = "features"
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class SupportNeighbourTerm:
    k: int = 10
    a: float = 50.0
    w: float = 0.1
    squeeze: Squeeze = "range"
    space: Space = "features"
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class LossTable:
    """The terms of the loss: those whose table is there are used. The first three are alternatives.

    missing_viewpoints: what a loss that needs viewpoints does with pictures that have none: "fail" before training, or
    "mask" them out of that loss.
    """

    cross_entropy: CrossEntropyTerm | None = None
    label_smoothing: LabelSmoothingTerm | None = None
    adaptive_smoothing: AdaptiveSmoothingTerm | None = None
    viewpoint: ViewpointTerm | None = None
    angular: AngularTerm | None = None
    triplet: TripletTerm | None = None
    support_neighbour: SupportNeighbourTerm | None = None
    missing_viewpoints: Literal["fail", "mask"] = "fail"

    def __post_init__(self) -> None:
        terms = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "missing_viewpoints"}
        named = [name for name, term in terms.items() if term is not None]
        identity = [name for name in named if name in ("cross_entropy", "label_smoothing", "adaptive_smoothing")]
        if len(identity) > 1:
            raise RecipeError(f"{' and '.join(identity)} are alternatives for the identity head: keep one")
        if not [name for name in named if name != "angular"]:
            raise RecipeError(f"there is no loss to learn from: add one of {', '.join(f'[loss.{t}]' for t in terms)}")
        for name in named:
            _at_least(f"{name}.weight", terms[name].weight, 0)

    @property
    def has_identity(self) -> bool:
        return not (self.cross_entropy is None and self.label_smoothing is None and self.adaptive_smoothing is None)

    @property
    def needs_viewpoints(self) -> bool:
        return self.viewpoint is not None or self.angular is not None


@dataclass(frozen=True, slots=True)
class BatchTable:
    """people, pictures: P and K of a batch, over all processes together.
    passes: how often everybody comes up in an epoch."""

    people: int
    pictures: int
    passes: int = 1

    def __post_init__(self) -> None:
        for name, least in (("people", 2), ("pictures", 2), ("passes", 1)):
            _at_least(name, getattr(self, name), least)


@dataclass(frozen=True, slots=True)
class OptimiserTable:
    """weight_decay: of matrices and kernels only; scales and shifts are left alone.
    clip: the gradient's largest norm, 0 for none. momentum: of "sgd" (Nesterov's)."""

    kind: Literal["adam", "adamw", "sgd"]
    lr: float
    weight_decay: float = 5e-4
    momentum: float = 0.9
    clip: float = 0.0

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise RecipeError(f"lr is {self.lr}: give a learning rate above 0")
        for name in ("weight_decay", "clip"):
            _at_least(name, getattr(self, name), 0)
        if not 0 < self.momentum < 1:
            raise RecipeError(f"momentum is {self.momentum}: give a number between 0 and 1, such as 0.9")


@dataclass(frozen=True, slots=True)
class ScheduleTable:
    """How the learning rate goes; the formulas stand in `schedule.py`. Unless it says otherwise, in epochs."""

    kind: Literal["cosine", "step", "exponential"]
    epochs: int
    warmup: float = 0.0
    warmup_from: float = 0.1
    """The first step's share of the learning rate."""
    final: float = 0.0
    """Of "cosine" and "exponential": the share that is left at the end."""
    milestones: tuple[float, ...] = ()
    """Of "step": where it is multiplied by `gamma`."""
    gamma: float = 0.1
    hold: float = 0.0
    """Of "exponential": how long it stays before it falls."""

    def __post_init__(self) -> None:
        for name in ("epochs", "warmup", "hold"):
            _at_least(name, getattr(self, name), 0)
        for name in ("warmup_from", "final", "gamma"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"{name} is {getattr(self, name)}: give a share from 0 to 1")
        if self.kind == "exponential" and self.final == 0:
            raise RecipeError("final is 0, which no exponential reaches: give a small share, such as 0.001")
        if (self.kind == "step") != bool(self.milestones):
            raise RecipeError('milestones belong to kind = "step", which needs at least one')
        if list(self.milestones) != sorted(self.milestones):
            raise RecipeError(f"milestones are {list(self.milestones)}: give them in rising order")


@dataclass(frozen=True, slots=True)
class RunTable:
    """precision: of the backbone; "auto" is bfloat16 on a GPU that has it and float32 elsewhere.
    compile: through torch.compile, which pays in long runs on a GPU.
    ema: the decay of the average of weights that is validated and kept; 0 keeps the last weights.
    hold_out: training people set aside for validation, a number or a fraction of them.
    keep: which weights end up in best.pt: those of the best validation, or of the last, for a final run on nearly all
        people, whose held-out handful is too small to choose by.
    validate_every, checkpoint_every: in epochs. log_every: in steps.
    """

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    ema: float = 0.999
    hold_out: int | float = 0.1
    keep: Literal["best", "last"] = "best"
    validate_every: int = 5
    checkpoint_every: int = 5
    log_every: int = 20

    def __post_init__(self) -> None:
        if not 0 <= self.ema < 1:
            raise RecipeError(f"ema is {self.ema}: give a decay from 0 to below 1, such as 0.999")
        for name in ("validate_every", "checkpoint_every", "log_every"):
            _at_least(name, getattr(self, name), 1)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything about a run but the data, the seed and the machine."""

    name: str
    description: str
    network: NetworkTable
    loss: LossTable
    batch: BatchTable
    optimiser: OptimiserTable
    schedule: ScheduleTable
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    run: RunTable = field(default_factory=RunTable)

    def __post_init__(self) -> None:
        sees_all = self.loss.has_identity or self.loss.triplet is not None or self.loss.support_neighbour is not None
        if self.network.local_parts and not sees_all:
            raise RecipeError(
                "local_parts in [network] and no loss that sees every part: add an identity term such as "
                "[loss.cross_entropy], or a metric one such as [loss.triplet]"
            )
