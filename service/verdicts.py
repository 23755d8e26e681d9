"""What scores mean, by a calibration: for answers over HTTP and on the command line alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from retrieval import Calibration


@dataclass(frozen=True, slots=True)
class Verdicts:
    """words: likely, unsure or unlikely for each score, None where there are none, and then `reason` says why.

    thresholds: where likely begins and unlikely ends, and on which data that was measured.
    """

    words: tuple[str | None, ...]
    thresholds: dict[str, Any] | None
    reason: str | None

    @classmethod
    def by(cls, calibration: Calibration, scores: Sequence[float]) -> Self:
        if not calibration.thresholds:
            return cls.none(scores, calibration.reason)
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

    @classmethod
    def none(cls, scores: Sequence[float], reason: str | None) -> Self:
        """No word on any of the scores, and why."""
        return cls((None,) * len(scores), None, reason)
