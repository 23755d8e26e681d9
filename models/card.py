"""The card: everything that has to be known about a model beside its weights, as `card.json`.

A card is checked when it is read and when it is written: an unknown key, a wrong type or a value that contradicts
another is a sentence that names the key. Optional facts that are not known are null, never guessed.
"""

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.card_sentences import sentences
from models.durable import write_durably
from models.errors import CardError

SCHEMA_VERSION = 1
"""Raised whenever a card of the old shape would be misread by the new code, or the other way round."""

CARD_FILE = "card.json"
MODEL_FILE = "model.onnx"

Precision = Literal["float32", "float16"]
Words = Annotated[str, Field(pattern=r"\S")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
ThreeNumbers = tuple[float, float, float]


class Section(BaseModel):
    """A part of the card: immutable, without unknown keys, without silent conversions, without NaN."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Licence(Section):
    weights: Words
    """What the weights may be used for: an SPDX name or a sentence."""
    training_data: Words
    """The terms of the data that the weights were learned from; they may bind the weights too."""


class InputSpec(Section):
    """What the graph is fed with. Pixels p are 0..255; the graph's input is `(p * scale - mean) / std`."""

    name: Words
    height: int = Field(ge=1, le=4096)
    width: int = Field(ge=1, le=4096)
    resize: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
    layout: Literal["NHWC", "NCHW"]
    dtype: Literal["uint8", "float32", "float16"]
    colour: Literal["RGB", "BGR"]
    scale: float | None = Field(default=None, gt=0)
    """Null: pixels are not scaled."""
    mean: ThreeNumbers | None = None
    """In the units of the scaled pixels and in the order of `colour`. Null: the graph normalises by itself."""
    std: ThreeNumbers | None = None
    fixed_batch: int | None = Field(default=None, ge=1)
    """The one batch size that the graph takes; null: any."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        given = [key for key in ("scale", "mean", "std") if getattr(self, key) is not None]
        if self.dtype == "uint8" and given:
            raise ValueError(f"dtype is uint8, so the graph normalises by itself and {given[0]} must be null")
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std belong together: give both or neither")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"std is {list(self.std)}: every entry must be above 0")
        return self


class Outputs(Section):
    """Names of the graph's outputs: `embedding` (N, dimension) and `viewpoint` (N, 3): front, side, back."""

    embedding: Words
    viewpoint: Words | None = None


class EmbeddingSpec(Section):
    dimension: int = Field(ge=1)
    normalised: bool
    """True: the graph gives vectors of length 1. False: the session divides by their length."""
    metric: Literal["cosine"]
    """Sessions always give unit vectors, on which euclidean distance ranks exactly as cosine does."""


class Training(Section):
    dataset: Words
    recipe: Words
    seed: int
    epochs: int = Field(ge=0)
    versions: dict[str, str]
    """Software that trained it, such as {"torch": "2.15.0"}."""


class Rerank(Section):
    mode: Words
    k1: int = Field(ge=1)
    k2: int = Field(ge=1)
    lam: Fraction


class GroupScores(Section):
    """mAP of query group x gallery group, such as viewpoints or cameras: where a model is good, and where it is not.

    A row asks with the pictures of one group, a column keeps the gallery's pictures of one. Null: nothing to find.
    """

    names: tuple[Words, ...] = Field(min_length=1)
    mean_ap: tuple[tuple[Fraction | None, ...], ...]
    queries: tuple[tuple[Count, ...], ...]
    """Those behind each number."""
    source: Words
    """Who says which group a picture is of."""

    @model_validator(mode="after")
    def _is_square(self) -> Self:
        for key, table in (("mean_ap", self.mean_ap), ("queries", self.queries)):
            shape = [len(row) for row in table]
            if shape != [len(self.names)] * len(self.names):
                raise ValueError(f"{key} has rows of {shape}, but {len(self.names)} groups have names")
        return self


class Result(Section):
    """One line of a benchmark table. All scores are fractions in [0, 1], not percentages."""

    dataset: Words
    protocol: Words
    average_precision: Words
    """How AP is defined: definitions differ by whole points."""
    mean_ap: Fraction
    cmc_1: Fraction
    cmc_5: Fraction
    cmc_10: Fraction
    minp: Fraction
    mean_ap_trapezoid: Fraction | None = None
    """mAP by the other definition in use, that of Market-1501's own code."""
    by_viewpoint: GroupScores | None = None
    by_camera: GroupScores | None = None
    rerank: Rerank | None = None
    command: Words
    """What to run to see these numbers again."""


class Threshold(Section):
    """Calling every pair with a score >= `threshold` one person accepts this share of different-person pairs."""

    false_accept_rate: float = Field(gt=0, lt=1)
    threshold: float = Field(ge=-1, le=1)
    true_accept_rate: Fraction
    negatives: int = Field(ge=1)
    """Different-person pairs behind the rate."""
    positives: int = Field(ge=1)
    """Same-person pairs behind the rate."""


class Calibration(Section):
    """What scores mean, measured on labelled pairs. The keys are those of `retrieval.Calibration`.

    `same` and `different` count pairs in equal bins over [-1, 1]: bin i of B holds the scores from -1 + 2i/B up to, not
    including, -1 + 2(i+1)/B; the last bin also holds 1.
    """

    dataset: Words
    bins: int = Field(ge=1)
    same: tuple[Count, ...]
    different: tuple[Count, ...]
    same_pairs: int = Field(ge=1)
    different_pairs: int = Field(ge=1)
    thresholds: tuple[Threshold, ...]
    reason: Words | None = None
    """Why thresholds are missing (too few pairs for a rate); null: none is."""
    metric: Literal["cosine"]
    command: Words

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        for key, counts, pairs in (
            ("same", self.same, self.same_pairs),
            ("different", self.different, self.different_pairs),
        ):
            if len(counts) != self.bins:
                raise ValueError(f"{key} has {len(counts)} counts, but bins is {self.bins}")
            if sum(counts) != pairs:
                raise ValueError(f"{key} adds up to {sum(counts)} pairs, but {key}_pairs is {pairs}")
        if not self.thresholds and self.reason is None:
            raise ValueError("there are no thresholds, so reason must say why")
        for looser, stricter in itertools.pairwise(self.thresholds):
            if (
                stricter.false_accept_rate >= looser.false_accept_rate
                or stricter.threshold < looser.threshold
                or stricter.true_accept_rate > looser.true_accept_rate
            ):
                raise ValueError(
                    f"thresholds are out of order: {looser!r} stands before {stricter!r}; from one to the next "
                    "false_accept_rate must fall, threshold must not, and true_accept_rate must not rise"
                )
        return self


class Parity(Section):
    """How far onnxruntime's embeddings are from those of the network that was exported, over real crops."""

    max_abs_difference: float = Field(ge=0)
    min_cosine: float = Field(ge=-1, le=1)
    crops: int = Field(ge=1)


class Variant(Section):
    """A further file with the same model in another precision."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.onnx$", max_length=100)]
    sha256: Sha256
    precision: Precision
    parity: Parity | None = None


class Card(Section):
    """The facts of one model. `sha256`, `precision` and `parity` are those of `model.onnx`."""

    schema_version: Literal[1]
    name: Name
    version: Words
    sha256: Sha256
    precision: Precision = "float32"
    variants: tuple[Variant, ...] = ()
    licence: Licence
    input: InputSpec
    outputs: Outputs
    embedding: EmbeddingSpec
    training: Training | None = None
    results: tuple[Result, ...] = ()
    calibration: Calibration | None = None
    uncalibrated_because: Words | None = None
    """Why `calibration` is null; shown to whoever asks for a verdict on a score."""
    parity: Parity | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.calibration is None and self.uncalibrated_because is None:
            raise ValueError("calibration is null, so uncalibrated_because must say why")
        if self.calibration is not None and self.uncalibrated_because is not None:
            raise ValueError("there is a calibration, so uncalibrated_because must be null")
        files = [MODEL_FILE, *(variant.file for variant in self.variants)]
        if len(set(files)) < len(files):
            raise ValueError(f"variants name a file twice or name {MODEL_FILE} again: {', '.join(files)}")
        precisions = [self.precision, *(variant.precision for variant in self.variants)]
        if len(set(precisions)) < len(precisions):
            raise ValueError(f"two files have the same precision, so it cannot choose one: {', '.join(precisions)}")
        return self

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a card; every problem in it is one line of the CardError that is raised."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CardError(f"{path} cannot be read: {error}") from error
        return cls.parse(text, source=str(path))

    @classmethod
    def parse(cls, text: str, source: str = CARD_FILE) -> Self:
        """Read a card from JSON text; `source` names it in errors."""
        try:
            document = json.loads(text, object_pairs_hook=_without_repeated_keys)
        except (ValueError, RecursionError) as error:
            raise CardError(f"{source} is not JSON: {error}") from error
        version = document.get("schema_version") if isinstance(document, dict) else None
        # Before anything else is looked at: a newer card may hold keys that this code would call misspelt.
        if type(version) is int and version > SCHEMA_VERSION:
            raise CardError(
                f"{source} has schema_version {version}, newer than {SCHEMA_VERSION}, the newest that this vantage "
                "reads: upgrade vantage, or take the bundle that was made for this version"
            )
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise CardError("\n".join(f"{source}: {line}" for line in sentences(error, cls))) from error

    def save(self, path: Path | str) -> None:
        """Write the card durably, in the order of this file, two spaces of indent, lists of numbers on one line."""
        text = _NUMBERS.sub(_on_one_line, self.model_dump_json(indent=2)) + "\n"
        Card.parse(text, source=str(path))  # model_copy(update=...) checks nothing; what none can read is not written
        write_durably(path, text.encode())


# A newline cannot stand inside a JSON string, so this never matches text.
_NUMBERS = re.compile(r"\[\n[\s\d.,eE+-]*\]")


def _on_one_line(numbers: re.Match[str]) -> str:
    return f"[{' '.join(numbers[0][1:-1].split())}]"


def _without_repeated_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    section: dict[str, Any] = {}
    for key, value in pairs:
        if key in section:
            raise ValueError(f"the key {key} stands twice in one section; remove one")
        section[key] = value
    return section
