"""Scores of same-person and different-person pairs, counted finely: verification (TPR at FPR) in bounded memory.

MSMT17 has 958 million query-gallery pairs; a histogram of them needs one megabyte whatever their number. The counts are
exact. Only the place of a threshold is quantised, to a bin edge, so the share of pairs at or above it is exact too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from retrieval.distance_blocks import Distances, FloatArray, cosine_from_squared_distance, row_blocks
from retrieval.errors import RetrievalError
from retrieval.labels import IntArray, Labels, match_labels

# Rounding (half precision above all) may carry a cosine past 1; beyond this it is no cosine.
OUTSIDE_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Calling every pair whose score is at or above a threshold the same person.

    false_accept_rate: the rate asked for; the share of different-person pairs accepted is at most this.
    threshold: the lowest bin edge that keeps to it; infinity where even the topmost bin holds too many.
    true_accept_rate: the share of same-person pairs accepted.
    negatives, positives: different-person and same-person pairs behind the two rates.
    """

    false_accept_rate: float
    threshold: float
    true_accept_rate: float
    negatives: int
    positives: int


@dataclass(frozen=True, slots=True, eq=False)
class ScoreHistogram:
    """Counts of pair scores over [-1, 1].

    same, different: int64 (bins,); bin i holds the scores s with -1 + 2i/bins <= s < -1 + 2(i+1)/bins,
    the last one 1.0 too. The number of bins is a power of two: that makes edges and binning exact in floating point.
    Histograms add up: `a + b` is the histogram of both sets of pairs.
    """

    same: IntArray
    different: IntArray

    def __post_init__(self) -> None:
        for name in ("same", "different"):
            counts = np.array(getattr(self, name))
            if counts.ndim != 1 or counts.dtype.kind not in "iu" or (counts < 0).any():
                raise RetrievalError(
                    f"{name} has shape {counts.shape} and dtype {counts.dtype}: give counts, one a bin"
                )
            counts = counts.astype(np.int64)
            counts.setflags(write=False)
            object.__setattr__(self, name, counts)
        if len(self.same) != len(self.different):
            raise RetrievalError(
                f"same has {len(self.same)} bins and different {len(self.different)}: give equally many"
            )
        _require_power_of_two(len(self.same))

    @classmethod
    def of_pairs(
        cls,
        distances: Distances,
        query: Labels,
        gallery: Labels,
        *,
        similarity: Callable[[FloatArray], FloatArray] = cosine_from_squared_distance,
        bins: int = 65_536,
        ignore_cameras: bool = False,
        junk: int | str = -1,
    ) -> Self:
        """Count the score of every query-gallery pair that counts in `ranking_metrics`, skipped queries included.

        distances: (Q, G) float array, or an iterable of consecutive (rows, G) blocks of it.
        similarity: turns a float array of distances into scores in [-1, 1], higher is more alike. The default takes
            squared Euclidean distances of unit vectors; cosine distances want `lambda d: 1 - d`.
        """
        _require_power_of_two(bins)
        matching = match_labels(query, gallery, ignore_cameras=ignore_cameras, junk=junk)
        everything, same, ignored = (np.zeros(bins, np.int64) for _ in range(3))
        for start, block in row_blocks(distances, len(query), len(gallery)):
            stop = start + len(block)
            place = _bins_of(similarity(matching.select(block)), bins)
            rows, positions, own_camera = matching.members(start, stop)
            members = place[rows, positions]
            everything += _count(place[~matching.query_junk[start:stop]], bins)
            same += _count(members[~own_camera], bins)
            ignored += _count(members[own_camera], bins)
        return cls(same=same, different=everything - same - ignored)

    def __add__(self, other: Self) -> Self:
        if self.bins != other.bins:
            raise RetrievalError(f"one histogram has {self.bins} bins, the other {other.bins}: make both alike")
        return type(self)(self.same + other.same, self.different + other.different)

    @property
    def bins(self) -> int:
        return len(self.same)

    @property
    def same_pairs(self) -> int:
        return int(self.same.sum())

    @property
    def different_pairs(self) -> int:
        return int(self.different.sum())

    def coarser(self, bins: int) -> Self:
        """The same pairs in fewer bins."""
        _require_power_of_two(bins)
        if bins > self.bins:
            raise RetrievalError(
                f"a histogram of {self.bins} bins cannot be cut into {bins}: ask for at most {self.bins}"
            )
        return type(self)(self.same.reshape(bins, -1).sum(axis=1), self.different.reshape(bins, -1).sum(axis=1))


def tpr_at_fpr(histogram: ScoreHistogram, fpr: float) -> OperatingPoint:
    """The most same-person pairs that can be accepted while at most `fpr` of the different-person pairs are."""
    if not 0 <= fpr <= 1:
        raise RetrievalError(f"the false accept rate is {fpr}: give a number from 0 to 1")
    positives, negatives = histogram.same_pairs, histogram.different_pairs
    if not positives or not negatives:
        missing = "same-person" if not positives else "different-person"
        raise RetrievalError(
            f"the histogram has {positives} same-person and {negatives} different-person pairs: without a {missing} "
            "pair no rate is known; check the person and camera labels (with one camera, set ignore_cameras=True)"
        )
    # Entry i: pairs accepted with the lower edge of bin i as threshold; the last entry accepts none.
    false_accepts = _at_or_above(histogram.different)
    edge = int(np.argmax(false_accepts / negatives <= fpr))
    return OperatingPoint(
        false_accept_rate=fpr,
        # A score of exactly 1 lies in the last bin, so the edge above that bin is no threshold that rejects it.
        threshold=-1 + 2 * edge / histogram.bins if edge < histogram.bins else math.inf,
        true_accept_rate=int(_at_or_above(histogram.same)[edge]) / positives,
        negatives=negatives,
        positives=positives,
    )


def _at_or_above(counts: IntArray) -> IntArray:
    return np.concatenate([np.cumsum(counts[::-1])[::-1], [0]])


def _bins_of(scores: FloatArray, bins: int) -> IntArray:
    if scores.size and not (scores.min() >= -1 - OUTSIDE_TOLERANCE and scores.max() <= 1 + OUTSIDE_TOLERANCE):
        raise RetrievalError(
            f"scores reach from {scores.min()} to {scores.max()}, but similarities lie in [-1, 1]: "
            "normalise the embeddings, or give the `similarity` that fits these distances"
        )
    # Scaling by a power of two is exact, so a score falls into the bin that its comparison with the edges says.
    place = np.floor(scores * scores.dtype.type(bins / 2)).astype(np.int64) + bins // 2
    return np.clip(place, 0, bins - 1, out=place)


def _count(places: IntArray, bins: int) -> IntArray:
    return np.bincount(places.ravel(), minlength=bins).astype(np.int64, copy=False)


def _require_power_of_two(bins: int) -> None:
    if bins < 2 or bins & (bins - 1):
        raise RetrievalError(f"{bins} bins: the number must be a power of two, such as 256 or 65536")
