"""What re-ranking keeps beside an item's vector where the gallery lives in a database: a field of bytes for each item.

A row of item i holds, in the notation of `encoding`:

    radius        the similarity of i's k1-th nearest other item: a probe q among whose k1 nearest i stands is its
                  reciprocal neighbour exactly when sim(q,i) >= radius
    inner_radius  that of its h-th nearest: the same question within h, asked where R(q,k1) is expanded
    lowest        the similarity of the item farthest from i: the largest distance, 2 - 2 lowest
    R(i,h)        which items are reciprocal with i within h: they join R*(q) where two thirds of them are in R(q,k1)
    V[i]          i's encoding: it is averaged into the encodings of the probes among whose k2-1 nearest i stands
    V'[i]         the average of V over i and its k2-1 nearest: what a probe's own V' is compared with

and nothing else. Neighbour lists are not needed to answer a probe, only to keep rows current, and are not in the row.
R(i,h) is part of R*(i), where V[i] is above 0, and that is part of where V'[i] is: so the columns are told once, those
of R(i,h) first, then the rest of R*(i), then the others.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError
from retrieval.keys import Keys
from retrieval.rerank.settings import RerankSettings

VERSION = 1
HEADER = 9  # words
MOST = 2**16 - 1  # columns, k1 and k2: each is told in 16 bits
SHIFT = np.int64(32)
WORD = np.dtype("<u4")


@dataclass(frozen=True, slots=True, eq=False)
class GraphRows:
    """The rows of n items. An item without one has no columns, and nothing is known of it.

    present       bool (n,): whether the item has a row.
    radius, inner_radius, lowest   float32 (n,), as above; -inf radii of items with fewer neighbours than that.
    counts        int64 (n, 3): how many columns are in R(i,h), in R*(i), and in all.
    columns       int64 (c,): the keys of one item after another.
    weights       float32 (c,): V', beside the columns.
    own_weights   float32 (o,): V of one item after another, beside the columns of R*(i).
    """

    present: npt.NDArray[np.bool_]
    radius: npt.NDArray[np.float32]
    inner_radius: npt.NDArray[np.float32]
    lowest: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int64]
    columns: Keys
    weights: npt.NDArray[np.float32]
    own_weights: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.present)

    @property
    def missing(self) -> int:
        """How many of the items have no row."""
        return len(self) - int(np.count_nonzero(self.present))

    @classmethod
    def absent(cls, count: int) -> Self:
        """Of items that have none."""
        nothing = np.full(count, -np.inf, np.float32)
        empty = np.zeros(0, np.float32)
        counts = np.zeros((count, 3), np.int64)
        return cls(np.zeros(count, np.bool_), nothing, nothing, nothing, counts, np.zeros(0, np.int64), empty, empty)

    def take(self, rows: npt.NDArray[np.intp]) -> GraphRows:
        """The given rows, in the given order."""
        every, own = spans(starts_of(self.counts[:, 2])[rows], self.counts[rows, 2]), self.counts[:, 1]
        return GraphRows(
            self.present[rows],
            self.radius[rows],
            self.inner_radius[rows],
            self.lowest[rows],
            self.counts[rows],
            self.columns[every],
            self.weights[every],
            self.own_weights[spans(starts_of(own)[rows], own[rows])],
        )

    def followed_by(self, others: GraphRows) -> GraphRows:
        """These rows and then the others."""
        return GraphRows(*(np.concatenate((getattr(self, name), getattr(others, name))) for name in FIELDS))

    # ---- as bytes ----------------------------------------------------------------------------------------------------

    def packed(self, settings: RerankSettings) -> list[bytes | None]:
        """Each row as bytes for one field of a database, None for an item without one.

        Words of 32 bits, little endian: CRC-32 of what follows · version, wide, k1 · k2, |R(i,h)| · |R*(i)|, number of
        columns · radius · inner radius · lowest · least key, two words · the columns' keys less the least one · where
        those may be 2^32 or more ("wide"), their upper halves · V' · V
        """
        least, above, wide = self._offsets()
        inner, own, every = self.counts.T
        if max(int(every.max(initial=0)), settings.k1, settings.k2) > MOST:
            raise RetrievalError(
                f"a row of {int(every.max(initial=0))} columns made with k1={settings.k1} and k2={settings.k2} cannot "
                f"be packed: none of them may be above {MOST}; use smaller k1 and k2"
            )
        sizes = HEADER + every * (2 + wide) + own
        starts = starts_of(sizes)
        words = np.zeros(int(sizes.sum()), WORD)
        words[starts + 1] = VERSION | (wide.astype(np.uint32) << 8) | (settings.k1 << 16)
        words[starts + 2] = settings.k2 | (inner << 16)
        words[starts + 3] = own | (every << 16)
        for place, values in ((4, self.radius), (5, self.inner_radius), (6, self.lowest)):
            words[starts + place] = values.astype("<f4").view(WORD)
        words[starts + 7], words[starts + 8] = _lower(least), _lower(least >> SHIFT)
        at = starts + HEADER
        words[spans(at, every)] = _lower(above)
        at = at + every
        high = np.repeat(wide, every)
        words[spans(at, every * wide)] = _lower(above[high] >> SHIFT)
        at = at + every * wide
        words[spans(at, every)] = self.weights.astype("<f4").view(WORD)
        words[spans(at + every, own)] = self.own_weights.astype("<f4").view(WORD)
        raw = words.tobytes()
        bodies = (raw[first + 4 : end] for first, end in zip(4 * starts, 4 * (starts + sizes), strict=True))
        return [
            zlib.crc32(body).to_bytes(4, "little") + body if there else None
            for body, there in zip(bodies, self.present, strict=True)
        ]

    @classmethod
    def read(cls, rows: Sequence[bytes | None], settings: RerankSettings) -> GraphRows:
        """What `packed` wrote, checked; None or empty for an item without a row.

        RetrievalError for a row that is damaged, or that was made with another k1 or k2.
        """
        present = np.asarray([bool(row) for row in rows], np.bool_)
        there = [row for row in rows if row]
        for row in there:
            if len(row) < 4 * HEADER or len(row) % 4 or zlib.crc32(row[4:]) != int.from_bytes(row[:4], "little"):
                raise _unreadable("is damaged (its checksum does not match what it holds)")
        words = np.frombuffer(b"".join(there), WORD)
        starts = starts_of(np.asarray([len(row) // 4 for row in there], np.int64))
        first, second, third = (words[starts + place].astype(np.int64) for place in (1, 2, 3))
        if (first & 0xFF != VERSION).any():
            other = int((first & 0xFF)[first & 0xFF != VERSION][0])
            raise _unreadable(f"is of version {other}, and this program reads version {VERSION}")
        k1, k2 = first >> 16, second & MOST
        if (k1 != settings.k1).any() or (k2 != settings.k2).any():
            n = int(np.flatnonzero((k1 != settings.k1) | (k2 != settings.k2))[0])
            raise _unreadable(
                f"was made with k1={k1[n]} and k2={k2[n]}, and the question is asked with k1={settings.k1} and "
                f"k2={settings.k2}"
            )
        wide, inner = (first >> 8) & 1, second >> 16
        own, every = third & MOST, third >> 16
        radius, inner_radius, lowest = (_floats(words[starts + place]) for place in (4, 5, 6))
        least = words[starts + 7].astype(np.int64) | (words[starts + 8].astype(np.int64) << SHIFT)
        at = starts + HEADER
        above = words[spans(at, every)].astype(np.int64)
        at = at + every
        above[np.repeat(wide > 0, every)] |= words[spans(at, every * wide)].astype(np.int64) << SHIFT
        at = at + every * wide
        found = cls(
            np.ones(len(there), np.bool_),
            radius,
            inner_radius,
            lowest,
            np.stack((inner, own, every), axis=1),
            np.repeat(least, every) + above,
            _floats(words[spans(at, every)]),
            _floats(words[spans(at + every, own)]),
        )
        if len(there) == len(rows):
            return found
        place = np.full(len(rows), len(there), np.intp)
        place[present] = np.arange(len(there))
        return found.followed_by(cls.absent(1)).take(place)

    def _offsets(self) -> tuple[Keys, Keys, npt.NDArray[np.bool_]]:
        """Of each row the least key; of each column what it is above that; of each row whether that takes two words."""
        every = self.counts[:, 2]
        filled = every > 0
        least, most = np.zeros((2, len(self)), np.int64)
        if filled.any():
            starts = starts_of(every)[filled]
            least[filled] = np.minimum.reduceat(self.columns, starts)
            most[filled] = np.maximum.reduceat(self.columns, starts)
        return least, self.columns - np.repeat(least, every), (most - least) >> SHIFT > 0


FIELDS = tuple(GraphRows.__dataclass_fields__)


def starts_of(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where each of several runs begins that lie one behind another."""
    return np.asarray(np.cumsum(counts) - counts)


def spans(starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The places of several runs, one run after another."""
    return np.asarray(np.arange(int(counts.sum())) + np.repeat(starts - starts_of(counts), counts))


def _lower(values: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    return (values & 0xFFFFFFFF).astype(WORD)


def _floats(words: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return words.view("<f4").astype(np.float32)


def _unreadable(what: str) -> RetrievalError:
    return RetrievalError(f"the row of an item's neighbours {what}: make the rows of this gallery anew")
