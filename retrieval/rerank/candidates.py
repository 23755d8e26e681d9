"""One probe against the candidates that a database found for it, by the rows it keeps beside them.

`ReciprocalGraph` without the gallery: the same encoding of the probe, made from the rows of its nearest, and the same
distances to those items that were fetched. What is asked of the database is one search, with the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError
from retrieval.keys import Keys, contains
from retrieval.ranking import Ranking
from retrieval.rerank.asking import Support
from retrieval.rerank.encoding import relative_distance
from retrieval.rerank.inverted import jaccard_distance
from retrieval.rerank.row_encoding import Circles, averaged
from retrieval.rerank.rows import GraphRows
from retrieval.rerank.settings import RerankSettings
from retrieval.rerank.unencoded import encoded_here
from retrieval.vectors import squared_distance, unit_rows


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The items nearest to a probe, as a database names them, in any order.

    keys          int64 (n,), each once.
    similarities  float32 (n,): their cosines with the probe.
    rows          theirs, as `GraphRows.read` gives them.
    vectors       float32 (n, D), unit length: wanted only where an item has no row.
    """

    keys: Keys
    similarities: npt.NDArray[np.float32]
    rows: GraphRows
    vectors: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", np.asarray(self.keys, np.int64))
        object.__setattr__(self, "similarities", np.asarray(self.similarities, np.float32))
        count = len(self.keys)
        if self.keys.shape != (count,) or self.similarities.shape != (count,) or len(self.rows) != count:
            raise RetrievalError(
                f"keys of shape {self.keys.shape} came with similarities of shape {self.similarities.shape} and "
                f"{len(self.rows)} rows: give one of each for each candidate"
            )
        if not np.isfinite(self.similarities).all():
            raise RetrievalError("a similarity is NaN or infinite: look at the vectors that were searched")
        named, times = np.unique(self.keys, return_counts=True)
        if (times > 1).any():
            raise RetrievalError(f"key {int(named[times > 1][0])} is named twice: give each candidate once")
        if self.vectors is not None:
            object.__setattr__(self, "vectors", unit_rows(self.vectors, "the candidates' vectors"))
            if len(self.vectors) != count:
                raise RetrievalError(f"{count} keys came with {len(self.vectors)} vectors: give one each")


class CandidateGraph:
    """What `ReciprocalGraph` says of one probe, as far as it can be known from the rows of its candidates.

    Of every candidate it is the same, within 1e-6, where the rows are those of the gallery as it is now, `lowest` is
    given, and `near` holds all of R*(probe): its nearest max(k1, k2-1), and the members of their R(c,h) that join it.
    Of real features the nearest 400 hold all of that for 99 probes in 100; `unseen` counts the members that are not
    held, which are taken to be as far as the last of `near`. Only candidates are ranked: an item beyond them is not
    found, however much it shares with the probe.

    A candidate without a row is encoded here as a probe would be, with the other candidates for its gallery, and is its
    own neighbour: its nearest are the nearest of them, and whether it is among theirs is asked of their radii. That is
    what re-ranking among the candidates alone, `rank_local`, would know of it, while of all others it is still known
    what the whole gallery makes of them. `unencoded` counts such candidates.

    Rows that are behind the gallery answer from what they were: removed items still take weight in them, new ones do
    not yet.
    """

    def __init__(
        self,
        near: Candidates,
        settings: RerankSettings | None = None,
        *,
        pool: Candidates | None = None,
        lowest: float | None = None,
    ) -> None:
        """
        near     the probe's nearest items of the whole gallery, `settings.reach` of them or more: hundreds are wanted.
        pool     with a filter, the nearest of the items that may be returned; by default all of `near` may be.
        lowest   the similarity of the item farthest from the probe; by default the mean of what its k1 nearest say of
                 theirs, which is off by about a hundredth of the largest distance.
        """
        self.settings = settings or RerankSettings()
        if len(near.keys) == 0:
            raise RetrievalError("`near` is empty: a probe's neighbours are the whole gallery's, without any filter")
        everybody = near if pool is None else _joined(near, pool)
        order = np.lexsort((everybody.keys, -everybody.similarities))
        self._keys, self._similarities = everybody.keys[order], everybody.similarities[order]
        self._shown = np.ones(len(order), np.bool_) if pool is None else np.isin(self._keys, pool.keys)
        rows = everybody.rows.take(order)
        self.unencoded = rows.missing
        if rows.missing:
            if everybody.vectors is None:
                raise RetrievalError(
                    f"{rows.missing} of {len(rows)} candidates have no row: fetch the vectors of all candidates, from "
                    "which these are encoded"
                )
            rows = encoded_here(self._keys, everybody.vectors[order], rows, self.settings)
        self._rows = rows
        reach, k1 = rows.take(np.arange(min(self.settings.reach, len(rows)))), self.settings.k1
        self._lowest = np.float32(reach.lowest[:k1].mean() if lowest is None else lowest)
        circles = Circles.of(self._keys, reach, self.settings)
        alone = circles.encode(self._similarities, np.arange(len(reach)), near.similarities.min(), self._lowest)
        self.unseen = alone.unseen
        self._mutual = alone.mutual
        nearest = reach.take(np.arange(min(self.settings.k2 - 1, len(reach))))
        self._columns, self._weights = averaged(alone.columns, alone.weights, nearest)

    def rank(self, top: int = 10) -> Ranking:
        """The `top` candidates by re-ranked distance: a Ranking of one row."""
        if top < 1:
            raise RetrievalError(f"top is {top}: ask for at least 1 result")
        shown = np.flatnonzero(self._shown)
        rows = self._rows if len(shown) == len(self._rows) else self._rows.take(shown)
        keys = self._keys[shown]
        plain, final = self._distances(shown, self._shared(rows))
        best = np.lexsort((keys, final))[:top]
        return Ranking(keys[None, best], plain[None, best], final[None, best])

    def explain(self, keys: npt.ArrayLike) -> tuple[Support, ...]:
        """Why each of these candidates is as near to the probe as `rank` says."""
        out = []
        for key in np.atleast_1d(np.asarray(keys, np.int64)):
            place = np.flatnonzero(self._keys == key)
            if len(place) == 0:
                raise RetrievalError(f"key {key} is not among the candidates: ask about those that `rank` returned")
            row = self._rows.take(place)
            at, there = self._meetings(row)
            weights = np.minimum(row.weights[there], self._weights[at])
            heaviest = np.lexsort((at, -weights))
            plain, final = self._distances(place, weights.sum(keepdims=True))
            shared = zip(self._columns[at[heaviest]].tolist(), weights[heaviest].tolist(), strict=True)
            mutual = bool((self._mutual == key).any())
            out.append(Support(int(key), float(plain[0]), float(final[0]), mutual, tuple(shared)))
        return tuple(out)

    def _shared(self, rows: GraphRows) -> npt.NDArray[np.float32]:
        """S = sum_j min(V'[probe,j], V'[g,j]) of each row's item g."""
        at, there = self._meetings(rows)
        of = np.repeat(np.arange(len(rows)), rows.counts[:, 2])[there]
        least = np.minimum(rows.weights[there], self._weights[at])
        return np.bincount(of, least, minlength=len(rows)).astype(np.float32)

    def _meetings(self, rows: GraphRows) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Where rows and probe both have weight: the places in the probe's columns, and in the rows'."""
        there = np.flatnonzero(contains(self._columns, rows.columns))
        return np.searchsorted(self._columns, rows.columns[there]), there

    def _distances(
        self, places: npt.NDArray[np.intp], shared: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The plain and the re-ranked distance of candidates with which the probe shares S."""
        lam, plain = np.float32(self.settings.lam), squared_distance(self._similarities[places])
        return plain, (1 - lam) * jaccard_distance(shared) + lam * relative_distance(plain, self._lowest)


def _joined(near: Candidates, pool: Candidates) -> Candidates:
    """Those of `near`, and those of `pool` that are not among them."""
    others = np.flatnonzero(~np.isin(pool.keys, near.keys))
    return Candidates(
        np.concatenate((near.keys, pool.keys[others])),
        np.concatenate((near.similarities, pool.similarities[others])),
        near.rows.followed_by(pool.rows.take(others)),
        np.concatenate((near.vectors, pool.vectors[others]))
        if near.vectors is not None and pool.vectors is not None
        else None,
    )
