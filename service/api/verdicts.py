"""What scores mean, by the calibration of the model that serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from pydantic import BaseModel

from service.embedding import ServedModel


class VerdictBody(BaseModel):
    """Where `likely` begins and `unlikely` ends, and on which data that was measured."""

    dataset: str
    likely_from: float
    likely_false_accept_rate: float
    unlikely_below: float
    unlikely_false_accept_rate: float


@dataclass(frozen=True, slots=True)
class Verdicts:
    """words: one a score, None where there are none, and then `reason` says why. thresholds: as VerdictBody."""

    words: tuple[str | None, ...]
    thresholds: dict[str, Any] | None
    reason: str | None

    @classmethod
    def of(cls, model: ServedModel, scores: Sequence[float], gallery_sha256: str) -> Self:
        """gallery_sha256: of the model that the scores are of."""
        nothing = (None,) * len(scores)
        if gallery_sha256 != model.sha256:
            return cls(nothing, None, f"the gallery is of another model than {model.name}, which serves")
        if model.calibration is None:
            return cls(nothing, None, model.card.uncalibrated_because)
        if not model.calibration.thresholds:
            return cls(nothing, None, model.calibration.reason)
        loosest, strictest = model.calibration.thresholds[0], model.calibration.thresholds[-1]
        thresholds = {
            "dataset": model.calibration.dataset,
            "likely_from": strictest.threshold,
            "likely_false_accept_rate": strictest.false_accept_rate,
            "unlikely_below": loosest.threshold,
            "unlikely_false_accept_rate": loosest.false_accept_rate,
        }
        words = model.calibration.verdicts(np.array(scores, np.float64)).tolist() if scores else []
        return cls(tuple(words), thresholds, None)
