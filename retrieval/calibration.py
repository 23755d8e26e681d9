"""What a score means: thresholds measured on labelled pairs, and the verdict drawn from them.

A score is a similarity, the cosine of two embeddings. It is not a probability: how likely two crops show the same
person also depends on how many different people were compared. A threshold therefore states only what was counted, the
shares of different-person and of same-person pairs at or above it, and how many pairs stand behind the two shares.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError
from retrieval.score_histogram import OperatingPoint, ScoreHistogram, tpr_at_fpr

Verdict = Literal["likely", "unsure", "unlikely"]

FALSE_ACCEPT_RATES = (1e-2, 1e-3, 1e-4)
CARD_BINS = 256
# A rate observed on fewer false accepts than this is too uncertain to act on: its relative error is above 1/sqrt(10).
FEWEST_FALSE_ACCEPTS = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """Score distributions of a model on a labelled dataset, and the thresholds measured on them.

    dataset: what the pairs were drawn from. command: what to run to measure it again.
    same, different: counts of same-person and different-person pairs, in `bins` equal bins over [-1, 1].
    thresholds: the loosest first; false accept rates fall, thresholds do not.
    reason: why thresholds at some false accept rates are missing; None when none is.
    metric: what a score is.
    """

    dataset: str
    bins: int
    same: tuple[int, ...]
    different: tuple[int, ...]
    same_pairs: int
    different_pairs: int
    thresholds: tuple[OperatingPoint, ...]
    reason: str | None
    metric: str
    command: str

    def __post_init__(self) -> None:
        if self.metric != "cosine":
            raise RetrievalError(f"the calibration's metric is {self.metric!r}: only 'cosine' is known")
        for name in ("dataset", "reason", "command"):
            value = getattr(self, name)
            if name == "reason" and value is None:
                continue
            if not isinstance(value, str) or not value.strip():
                raise RetrievalError(f"the calibration's {name} is {value!r}: give a few words")
        for name in ("same", "different"):
            counts, pairs = getattr(self, name), getattr(self, f"{name}_pairs")
            if len(counts) != self.bins:
                raise RetrievalError(f"the calibration's {name} has {len(counts)} counts, but bins is {self.bins}")
            if sum(counts) != pairs or pairs == 0:
                raise RetrievalError(
                    f"the calibration's {name} adds up to {sum(counts)} pairs and {name}_pairs is {pairs}: "
                    "both must be the same number, and not 0"
                )
        if not self.thresholds and self.reason is None:
            raise RetrievalError("the calibration has no thresholds, so its reason must say why")
        for point in self.thresholds:
            _require_plausible(point)
        for looser, stricter in itertools.pairwise(self.thresholds):
            if (
                stricter.false_accept_rate >= looser.false_accept_rate
                or stricter.threshold < looser.threshold
                or stricter.true_accept_rate > looser.true_accept_rate
            ):
                raise RetrievalError(
                    f"the calibration's thresholds are out of order: {looser} stands before {stricter}; from one to "
                    "the next the false accept rate must fall, the threshold not, and the true accept rate not rise"
                )

    @classmethod
    def from_histogram(cls, histogram: ScoreHistogram, *, dataset: str, command: str) -> Self:
        """Measure the thresholds at 1e-2, 1e-3 and 1e-4; leave out, with the reason, those the pairs cannot support."""
        thresholds, reasons = [], []
        for rate in FALSE_ACCEPT_RATES:
            point = tpr_at_fpr(histogram, rate)
            if why_not := _unsupported(point):
                reasons.append(f"no threshold at a false accept rate of {rate:g}: {why_not}")
            else:
                thresholds.append(point)
        coarse = histogram.coarser(min(CARD_BINS, histogram.bins))
        return cls(
            dataset=dataset,
            bins=coarse.bins,
            same=tuple(coarse.same.tolist()),
            different=tuple(coarse.different.tolist()),
            same_pairs=coarse.same_pairs,
            different_pairs=coarse.different_pairs,
            thresholds=tuple(thresholds),
            reason="; ".join(reasons) or None,
            metric="cosine",
            command=command,
        )

    def verdict(self, score: float) -> Verdict:
        """`likely` at or above the strictest threshold, `unlikely` below the loosest, `unsure` between them."""
        verdict: Verdict = self.verdicts(np.array([score])).tolist()[0]
        return verdict

    def verdicts(self, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.str_]:
        """`verdict` of each score. scores: float array of any shape; the answer has the same shape."""
        if not self.thresholds:
            raise RetrievalError(f"this calibration gives no verdicts: {self.reason}")
        # In float64 a score is compared as it is, never with a threshold rounded to the score's precision.
        exact = np.asarray(scores, np.float64)
        if np.isnan(exact).any():
            raise RetrievalError("a score is NaN, which has no verdict: look for NaN in the embeddings")
        loosest, strictest = self.thresholds[0].threshold, self.thresholds[-1].threshold
        passed = (exact >= loosest).astype(np.int64) + (exact >= strictest)
        words: npt.NDArray[np.str_] = np.array(["unlikely", "unsure", "likely"])[passed]
        return words

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the keys of a model card's `calibration`."""
        plain = asdict(self)
        for name in ("same", "different", "thresholds"):
            plain[name] = list(plain[name])
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; refuses what no measurement could have given."""
        values = _values(plain, cls, "the calibration")
        for name in ("bins", "same_pairs", "different_pairs"):
            values[name] = _count(values[name], name)
        for name in ("same", "different"):
            values[name] = tuple(_count(count, name) for count in _list(values[name], name))
        values["thresholds"] = tuple(_point(point) for point in _list(values["thresholds"], "thresholds"))
        return cls(**values)


def _unsupported(point: OperatingPoint) -> str | None:
    expected = point.false_accept_rate * point.negatives
    if expected < FEWEST_FALSE_ACCEPTS:
        return (
            f"{point.negatives} different-person pairs let expect {expected:.3g} false accepts, "
            f"and fewer than {FEWEST_FALSE_ACCEPTS} are too few to measure a rate on"
        )
    if math.isinf(point.threshold):
        return "more than that share of the different-person pairs have the highest score there is"
    return None


def _require_plausible(point: OperatingPoint) -> None:
    if not (
        0 < point.false_accept_rate < 1
        and -1 <= point.threshold <= 1
        and 0 <= point.true_accept_rate <= 1
        and point.negatives > 0
        and point.positives > 0
    ):
        raise RetrievalError(
            f"{point} is no threshold: the false accept rate lies between 0 and 1, the threshold in [-1, 1], the true "
            "accept rate in [0, 1], and pairs stand behind both rates"
        )


def _point(plain: Any) -> OperatingPoint:
    values = _values(plain, OperatingPoint, "a threshold of the calibration")
    for name in ("false_accept_rate", "threshold", "true_accept_rate"):
        if isinstance(values[name], bool) or not isinstance(values[name], int | float):
            raise RetrievalError(f"{name} of a threshold of the calibration is {values[name]!r}: give a number")
        values[name] = float(values[name])
    for name in ("negatives", "positives"):
        values[name] = _count(values[name], name)
    return OperatingPoint(**values)


def _values(plain: Any, shape: type[Calibration] | type[OperatingPoint], what: str) -> dict[str, Any]:
    names = [field.name for field in fields(shape)]
    if not isinstance(plain, Mapping) or set(plain) != set(names):
        found = (
            f"the keys {sorted(map(str, plain))}" if isinstance(plain, Mapping) else f"the type {type(plain).__name__}"
        )
        raise RetrievalError(f"{what} has {found}: give exactly {sorted(names)}")
    return dict(plain)


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise RetrievalError(f"the calibration's {name} is {value!r}: give a list")
    return list(value)


def _count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RetrievalError(f"the calibration's {name} holds {value!r}: give whole numbers from 0")
    return value
