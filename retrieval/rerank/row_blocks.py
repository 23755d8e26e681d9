"""The rows of a block of items, from the neighbour lists of all: a pure function, to be mapped over blocks anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.keys import Keys
from retrieval.rerank.encoding import NeighbourLists, average, encode, reciprocal
from retrieval.rerank.row_making import as_rows
from retrieval.rerank.rows import GraphRows
from retrieval.rerank.settings import RerankSettings


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """What rows are made from; row i speaks of item i. Any of them may be a memory map.

    keys          int64 (N,): what the items are called.
    vectors       float32 (N, D), unit length.
    indices       int32 (N, reach): the nearest other items, nearest first; -1 where there are no more.
    similarities  float32 (N, reach): theirs; -inf where there are no more.
    farthest      int32 (N,): the item least similar.
    lowest        float32 (N,): its similarity.
    """

    keys: Keys
    vectors: npt.NDArray[np.float32]
    indices: npt.NDArray[np.int32]
    similarities: npt.NDArray[np.float32]
    farthest: npt.NDArray[np.int32]
    lowest: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.keys)


def rows_of(items: npt.NDArray[np.integer], lists: Lists, settings: RerankSettings) -> GraphRows:
    """The rows of the given items, int (b,): what `ReciprocalGraph.build` would hold of them.

    Encodings of neighbours outside the block are made here as well, so that blocks need nothing of one another; of
    thousands of items in the order in which they were seen that is little, of scattered ones it is up to k2 times the
    work.
    """
    rows = np.asarray(items, np.int32)
    around = NeighbourLists(lists.vectors, lists.indices, lists.lowest)
    over = _distinct(rows, lists.indices[rows, : settings.k2 - 1])
    members = _distinct(over, lists.indices[over, : settings.k1])
    # As long as the gallery, but of what is not written no memory is taken.
    mutual_half = np.zeros((len(lists), settings.half), np.bool_)
    mutual_half[members] = reciprocal(around, members, settings.half)
    encodings = encode(around, over, mutual_half, settings)
    both = average(lambda of: encodings[np.searchsorted(over, of)], around, rows, settings)
    both.sort_indices()
    who, place = np.nonzero(mutual_half[rows])
    blank = np.full(len(rows), -np.inf, np.float32)
    radius = lists.similarities[rows, settings.k1 - 1]
    inner_radius = lists.similarities[rows, settings.half - 1] if settings.half else blank
    return as_rows(
        (radius, inner_radius, lists.lowest[rows]),
        (who, lists.indices[rows[who], place]),
        encodings[np.searchsorted(over, rows)],
        both,
        lists.keys,
    )


def _distinct(items: npt.NDArray[np.int32], others: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The items and others, each once and ascending, without -1."""
    every = np.union1d(items, others)
    return every[every >= 0]
