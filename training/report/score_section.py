"""The scores of pairs of one person and of two, and where the thresholds cut them."""

import math

import numpy as np

from models import Card
from retrieval import ScoreHistogram
from retrieval.calibration import FEWEST_FALSE_ACCEPTS
from training.evaluation import Evaluation
from training.report.chart import Axis, Line, Mark, line_chart
from training.report.section import Section

_BINS, _FEW_BINS, _MANY_PAIRS = 128, 32, 20_000
_HEADROOM = 1.25  # above the hills, for the words at the thresholds
_OUTER = 5e-4  # of the pairs on either side are not shown


def score_section(evaluation: Evaluation, card: Card) -> Section:
    """The thresholds are the card's, which searches use, or those measured here where it has none."""
    histogram = evaluation.histogram
    bins = _BINS if histogram.same_pairs >= _MANY_PAIRS else _FEW_BINS
    coarse = histogram.coarser(bins)
    same, different = coarse.same / coarse.same_pairs, coarse.different / coarse.different_pairs
    shown = _shown((same + different) / 2)
    centres = (-1 + 2 * (np.arange(bins) + 0.5) / bins)[shown].tolist()
    hills = [list(zip(centres, shares[shown].tolist(), strict=True)) for shares in (same, different)]
    chart = line_chart(
        [Line("pairs of one person", hills[0], 1, filled=True), Line("pairs of two people", hills[1], 2, filled=True)],
        Axis("score (cosine)", centres[0], centres[-1]),
        Axis("share of the pairs", 0, float(max(same.max(), different.max())) * _HEADROOM, percent=True),
        [mark for mark in _marks(evaluation, card) if centres[0] <= mark.x <= centres[-1]],
        title="histogram of scores",
    )
    return Section("scores", "What scores look like", chart, _reading(evaluation, card), beside=True)


def _shown(shares: np.ndarray[tuple[int], np.dtype[np.float64]]) -> slice:
    """Without the long empty ends."""
    summed = np.cumsum(shares)
    first = max(0, int(np.searchsorted(summed, _OUTER)) - 1)
    last = min(len(shares), int(np.searchsorted(summed, 1 - _OUTER)) + 2)
    return slice(first, max(last, first + 2))


def _marks(evaluation: Evaluation, card: Card) -> list[Mark]:
    if card.calibration is not None:
        return [Mark(point.threshold, _rate(point.false_accept_rate)) for point in card.calibration.thresholds]
    return [
        Mark(point.threshold, _rate(point.false_accept_rate))
        for point in evaluation.verification
        if math.isfinite(point.threshold) and point.false_accept_rate * point.negatives >= FEWEST_FALSE_ACCEPTS
    ]


def _rate(false_accept_rate: float) -> str:
    return f"1 in {round(1 / false_accept_rate):,}"


def _reading(evaluation: Evaluation, card: Card) -> str:
    words = (
        "The less the two hills overlap, the easier it is to tell one person from two by the score alone. Each hill "
        f"adds up to 100 %; there are {evaluation.histogram.same_pairs:,} pairs of one person and "
        f"{evaluation.histogram.different_pairs:,} of two. A dashed line is a threshold: as "
        "many pairs of two people as is written at it lie right of it, and would be mistaken for one person. "
    )
    if card.calibration is None:
        return words + "The lines were measured here: the card has no calibration yet (vantage-train calibrate)."
    measured = f"The lines are the card's, measured on {card.calibration.dataset}."
    shares = [
        f"{_share_above(evaluation.histogram, point.threshold):.2%} from {point.threshold:.3f} up"
        for point in card.calibration.thresholds
    ]
    return words + measured + (f" On the pairs shown here they let through: {'; '.join(shares)}." if shares else "")


def _share_above(histogram: ScoreHistogram, threshold: float) -> float:
    edge = math.ceil((threshold + 1) * histogram.bins / 2)
    return float(histogram.different[edge:].sum()) / histogram.different_pairs
