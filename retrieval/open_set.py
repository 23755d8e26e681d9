"""Open-set identification: find the people who are in the gallery, and stay silent about those who are not.

Of the *known* queries (a correct match exists), DIR(t) is the share whose nearest item that counts is the right person
with a score >= t. Of the *unknown* queries (their person is not in the gallery), the false-alarm rate FAR(t) is the
share whose nearest item that counts has a score >= t, whoever it shows. A point states DIR where FAR is at most a given
rate; DIR at FAR = 1 would be CMC at rank 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.distance_blocks import Distances, FloatArray, cosine_from_squared_distance, row_blocks
from retrieval.errors import RetrievalError
from retrieval.labels import BoolArray, Labels, Matching, match_labels


@dataclass(frozen=True, slots=True)
class OpenSetPoint:
    """false_alarm_rate: the rate asked for. threshold: the lowest score threshold that keeps to it.

    detection_rate: DIR there. false_alarms: unknown queries at or above the threshold; with U unknown queries, a rate
    below 1/U allows none, so small samples cannot speak for small rates.
    """

    false_alarm_rate: float
    threshold: float
    detection_rate: float
    false_alarms: int


@dataclass(frozen=True, slots=True)
class OpenSetMetrics:
    """points: one a rate asked for, in the order asked.

    rank1: share of known queries whose nearest item is the right person, at whatever score.
    known, unknown: queries behind the two rates. skipped: the rest (junk queries, and those of people in the gallery
    whose every match is in the query's own camera).
    """

    points: tuple[OpenSetPoint, ...]
    rank1: float
    known: int
    unknown: int
    skipped: int


def open_set_metrics(
    distances: Distances,
    query: Labels,
    gallery: Labels,
    unknown: BoolArray | None = None,
    *,
    false_alarm_rates: Sequence[float] = (0.1, 0.01),
    similarity: Callable[[FloatArray], FloatArray] = cosine_from_squared_distance,
    ignore_cameras: bool = False,
    junk: int | str = -1,
) -> OpenSetMetrics:
    """Detection and identification rate at false-alarm rates.

    distances: (Q, G) float array, or an iterable of consecutive (rows, G) blocks of it.
    unknown: bool (Q,), True for queries whose person is to be unknown: all gallery items of that person are withheld
        from everybody. Queries of one person must agree. Queries whose person the gallery lacks are unknown anyway,
        and without a mask they are the only ones.
    similarity: turns distances into scores, higher is more alike (see `ScoreHistogram.of_pairs`).
    """
    for rate in false_alarm_rates:
        if not 0 <= rate < 1:
            raise RetrievalError(f"the false-alarm rate is {rate}: give a number from 0 to below 1")
    withheld = None
    if unknown is not None:
        unknown = _checked_mask(unknown, query)
        withheld = np.isin(gallery.person, query.person[unknown])
    matching = match_labels(query, gallery, ignore_cameras=ignore_cameras, junk=junk, withheld=withheld)
    matching.require_a_match()
    is_unknown = ~matching.query_junk & (matching.same_person == 0)
    if not is_unknown.any():
        raise RetrievalError(
            "no query is of an unknown person, so false alarms cannot be counted: mark some people with `unknown`"
        )

    nearest, right = [], []
    for start, block in row_blocks(distances, len(query), len(gallery)):
        distance, hit = _nearest(block, matching, start)
        nearest.append(similarity(distance).astype(np.float64))
        right.append(hit)
    score, found = np.concatenate(nearest), np.concatenate(right)

    known = matching.matches > 0
    found_scores = score[found]  # of known queries only: nobody else has a match to find
    alarms = np.sort(score[is_unknown])[::-1]
    return OpenSetMetrics(
        points=tuple(_point(found_scores, int(known.sum()), alarms, rate) for rate in false_alarm_rates),
        rank1=len(found_scores) / int(known.sum()),
        known=int(known.sum()),
        unknown=int(is_unknown.sum()),
        skipped=int((~known & ~is_unknown).sum()),
    )


def _nearest(block: FloatArray, matching: Matching, start: int) -> tuple[FloatArray, BoolArray]:
    """Distance of each query's nearest item that counts (the first of equals), and whether it is the right person."""
    rows, positions, ignored = matching.members(start, start + len(block))
    candidates = np.array(matching.select(block))
    candidates[rows[ignored], positions[ignored]] = np.inf
    best = candidates.argmin(axis=1)
    match = np.zeros(candidates.shape, np.bool_)
    match[rows[~ignored], positions[~ignored]] = True
    everyone = np.arange(len(block))
    return candidates[everyone, best], match[everyone, best]


def _point(found: npt.NDArray[np.float64], known: int, alarms: npt.NDArray[np.float64], rate: float) -> OpenSetPoint:
    """found: scores of the known queries rightly found; alarms: scores of the unknown queries, highest first."""
    unknown = len(alarms)
    allowed = int(np.searchsorted(np.arange(unknown + 1) / unknown, rate, "right")) - 1
    # The next alarm in line must stay below the threshold, and so must all that equal it.
    threshold = float(np.nextafter(alarms[allowed], np.inf))
    return OpenSetPoint(
        false_alarm_rate=rate,
        threshold=threshold,
        detection_rate=int((found >= threshold).sum()) / known,
        false_alarms=int((alarms >= threshold).sum()),
    )


def _checked_mask(unknown: BoolArray, query: Labels) -> BoolArray:
    mask = np.asarray(unknown)
    if mask.dtype != np.bool_ or mask.shape != (len(query),):
        raise RetrievalError(
            f"unknown has shape {mask.shape} and dtype {mask.dtype}: give ({len(query)},) booleans, one a query"
        )
    if mask.all():
        raise RetrievalError("every query is marked unknown, so detections cannot be counted: leave some people known")
    both = np.intersect1d(query.person[mask], query.person[~mask])
    if len(both):
        raise RetrievalError(
            f"person {both[0]} is marked unknown in some queries and known in others: a person is in the gallery or not"
        )
    return mask
