"""What scores mean, by the calibration of the model that serves."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from service.embedding import ServedModel
from service.verdicts import Verdicts


class VerdictBody(BaseModel):
    """Where `likely` begins and `unlikely` ends, and on which data that was measured."""

    dataset: str
    likely_from: float
    likely_false_accept_rate: float
    unlikely_below: float
    unlikely_false_accept_rate: float


def verdicts_of(model: ServedModel, scores: Sequence[float], gallery_sha256: str) -> Verdicts:
    """gallery_sha256: of the model that the scores are of."""
    if gallery_sha256 != model.sha256:
        return Verdicts.none(scores, f"the gallery is of another model than {model.name}, which serves")
    if model.calibration is None:
        return Verdicts.none(scores, model.card.uncalibrated_because)
    return Verdicts.by(model.calibration, scores)
