"""mAP (both definitions), CMC and mINP of a query x gallery distance matrix, under Market-1501's rule.

For one query let its n correct matches stand at ranks r_1 < ... < r_n among the items that count (ranks from 1):

    precision at match k       p_k = k / r_k
    precision just before it   b_k = (k - 1) / (r_k - 1), and 1 where r_k = 1
    step AP                    (1/n) * sum p_k                  fast-reid, torchreid, TransReID
    trapezoid AP               (1/n) * sum (b_k + p_k) / 2      the official Market-1501 and Oxford code
    INP                        n / r_n
    CMC at rank k              share of scored queries with r_1 <= k

The two APs differ by about a point of mAP, so both are always given. Equal distances rank by gallery index.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.distance_blocks import Distances, FloatArray, row_blocks
from retrieval.errors import RetrievalError
from retrieval.labels import IntArray, Labels, Matching, match_labels

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RankingMetrics:
    """How well a ranking finds the right person; the formulas stand at the top of this module.

    map_step, map_trapezoid, minp: means over the scored queries, in [0, 1].
    cmc: float64 (max_rank,); cmc[k - 1] is CMC at rank k.
    ap_step, ap_trapezoid, inp: float64 (Q,); NaN for queries that have no match.
    first_match: int64 (Q,) rank of the first correct match, from 1; -1 for queries that have no match.
    queries_scored, queries_skipped: with and without a match; they add up to Q.
    queries_own_camera_only: skipped because all their matches are in their own camera.
    gallery_junk: gallery items left out for their junk label.
    pairs: query-gallery pairs ranked, over the scored queries.
    pairs_own_camera: pairs of the scored queries ignored as own person in own camera.
    """

    map_step: float
    map_trapezoid: float
    minp: float
    cmc: Float64Array
    ap_step: Float64Array
    ap_trapezoid: Float64Array
    inp: Float64Array
    first_match: IntArray
    queries_scored: int
    queries_skipped: int
    queries_own_camera_only: int
    gallery_junk: int
    pairs: int
    pairs_own_camera: int

    def __post_init__(self) -> None:
        for array in (self.cmc, self.ap_step, self.ap_trapezoid, self.inp, self.first_match):
            array.setflags(write=False)

    @property
    def rank1(self) -> float:
        return self._found_within(1)

    @property
    def rank5(self) -> float:
        return self._found_within(5)

    @property
    def rank10(self) -> float:
        return self._found_within(10)

    def _found_within(self, rank: int) -> float:
        return int(((self.first_match >= 1) & (self.first_match <= rank)).sum()) / self.queries_scored


def ranking_metrics(
    distances: Distances,
    query: Labels,
    gallery: Labels,
    *,
    ignore_cameras: bool = False,
    junk: int | str = -1,
    max_rank: int = 50,
) -> RankingMetrics:
    """Score a ranking by distance, smaller is nearer.

    distances: (Q, G) float array, or an iterable of consecutive (rows, G) blocks of it.
    query, gallery: labels of the Q rows and of the G columns.
    ignore_cameras: count matches in the query's own camera too (one-camera data).
    junk: the person label that takes no part.
    max_rank: length of `cmc`.
    """
    if max_rank < 1:
        raise RetrievalError(f"max_rank is {max_rank}: give at least 1")
    matching = match_labels(query, gallery, ignore_cameras=ignore_cameras, junk=junk)
    matching.require_a_match()

    ranks = [
        _match_ranks(matching.select(block), matching, start)
        for start, block in row_blocks(distances, len(query), len(gallery))
    ]
    scored = matching.matches > 0
    ap_step, ap_trapezoid, inp, first_match = _per_query(np.concatenate(ranks), matching.matches[scored])
    found_at = np.bincount(first_match[first_match <= max_rank], minlength=max_rank + 1)[1:]
    return RankingMetrics(
        map_step=float(ap_step.mean()),
        map_trapezoid=float(ap_trapezoid.mean()),
        minp=float(inp.mean()),
        cmc=np.cumsum(found_at) / len(first_match),
        ap_step=_spread(ap_step, scored),
        ap_trapezoid=_spread(ap_trapezoid, scored),
        inp=_spread(inp, scored),
        first_match=_spread_ranks(first_match, scored),
        queries_scored=int(scored.sum()),
        queries_skipped=int((~scored).sum()),
        queries_own_camera_only=int((~scored & (matching.own_camera > 0)).sum()),
        gallery_junk=matching.gallery_junk,
        pairs=int(matching.valid[scored].sum()),
        pairs_own_camera=int(matching.own_camera[scored].sum()),
    )


def _match_ranks(block: FloatArray, matching: Matching, start: int) -> IntArray:
    """Ranks, from 1, of the correct matches of a block's queries, query after query, ascending within each."""
    stop = start + len(block)
    rows, positions, ignored = matching.members(start, stop)
    edges = np.searchsorted(rows, np.arange(len(block) + 1))
    ranks = np.empty(len(rows), np.int64)
    for row in np.flatnonzero(matching.matches[start:stop]):
        members = slice(edges[row], edges[row + 1])
        ranks[members] = _ranks_in_row(block[row], positions[members])
    scored = matching.matches[start:stop][rows] > 0
    rows, ranks, ignored = rows[scored], ranks[scored], ignored[scored]
    # Ignored items of the same query ranked before a match do not count in its rank.
    order = np.lexsort((ranks, rows))
    rows, ranks, ignored = rows[order], ranks[order], ignored[order]
    ignored_so_far = np.concatenate([[0], np.cumsum(ignored)])
    query_begins = np.searchsorted(rows, rows, "left")
    counting: IntArray = ranks - (ignored_so_far[1:] - ignored_so_far[query_begins])
    return counting[~ignored]


def _ranks_in_row(row: FloatArray, members: IntArray) -> IntArray:
    """Ranks, from 1, of a few members of a row, by (distance, index): cheaper than ordering the whole row."""
    ordered = np.sort(row)
    values = row[members]
    nearer = np.searchsorted(ordered, values, "left")
    tied = np.searchsorted(ordered, values, "right") - nearer > 1
    ranks: IntArray = nearer + 1
    if tied.any():
        ranks[tied] += _equals_before(row, members[tied])
    return ranks


def _equals_before(row: FloatArray, members: IntArray) -> IntArray:
    """For each member, how many items of the row have the same value and a smaller index."""
    candidates = np.flatnonzero(np.isin(row, row[members]))
    values = row[candidates]
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    before = np.empty(len(candidates), np.int64)
    before[order] = np.arange(len(candidates)) - np.searchsorted(ordered, ordered, "left")
    counts: IntArray = before[np.searchsorted(candidates, members)]
    return counts


def _per_query(ranks: IntArray, matches: IntArray) -> tuple[Float64Array, Float64Array, Float64Array, IntArray]:
    """Step AP, trapezoid AP, INP and first rank of each scored query.

    ranks: (sum of matches,) query after query, ascending within each; matches: (scored,) all positive.
    """
    begins = np.cumsum(matches) - matches
    nth = np.arange(1, len(ranks) + 1) - np.repeat(begins, matches)
    precision = nth / ranks
    before = np.where(ranks == 1, 1.0, (nth - 1) / np.maximum(ranks - 1, 1))
    ap_step = np.add.reduceat(precision, begins) / matches
    ap_trapezoid = np.add.reduceat((before + precision) / 2, begins) / matches
    return ap_step, ap_trapezoid, matches / ranks[begins + matches - 1], ranks[begins]


def _spread(values: Float64Array, scored: npt.NDArray[np.bool_]) -> Float64Array:
    spread = np.full(len(scored), np.nan)
    spread[scored] = values
    return spread


def _spread_ranks(values: IntArray, scored: npt.NDArray[np.bool_]) -> IntArray:
    spread = np.full(len(scored), -1, np.int64)
    spread[scored] = values
    return spread
