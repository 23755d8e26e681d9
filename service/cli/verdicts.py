"""What scores mean, by the calibration in the model's card."""

from __future__ import annotations

from collections.abc import Sequence

from models import Card
from service.verdicts import Verdicts


def verdicts_of(card: Card | None, scores: Sequence[float]) -> Verdicts:
    """card: of the gallery's model; None where it is not at hand."""
    from retrieval import Calibration

    if card is None:
        return Verdicts.none(scores, "the gallery's model is not at hand: name its folder with --model")
    if card.calibration is None:
        return Verdicts.none(scores, card.uncalibrated_because)
    return Verdicts.by(Calibration.from_dict(card.calibration.model_dump()), scores)
