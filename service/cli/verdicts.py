"""What scores mean, by the calibration in the model's card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from models import Card


@dataclass(frozen=True, slots=True)
class Verdicts:
    """words: likely, unsure or unlikely for each score, None where there are none, and then `reason` says why.

    thresholds: where likely begins and unlikely ends, and on which data that was measured.
    """

    words: tuple[str | None, ...]
    thresholds: dict[str, Any] | None
    reason: str | None

    @classmethod
    def of(cls, card: Card | None, scores: Sequence[float]) -> Self:
        from retrieval import Calibration

        nothing = (None,) * len(scores)
        if card is None:
            return cls(nothing, None, "the gallery's model is not at hand: name its folder with --model")
        if card.calibration is None:
            return cls(nothing, None, card.uncalibrated_because)
        calibration = Calibration.from_dict(card.calibration.model_dump())
        if not calibration.thresholds:
            return cls(nothing, None, calibration.reason)
        loosest, strictest = calibration.thresholds[0], calibration.thresholds[-1]
        thresholds = {
            "dataset": calibration.dataset,
            "likely_from": strictest.threshold,
            "likely_false_accept_rate": strictest.false_accept_rate,
            "unlikely_below": loosest.threshold,
            "unlikely_false_accept_rate": loosest.false_accept_rate,
        }
        words = calibration.verdicts(np.array(scores, np.float64)).tolist() if scores else []
        return cls(tuple(words), thresholds, None)
