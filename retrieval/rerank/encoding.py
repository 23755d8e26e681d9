"""The mathematics that both faces of re-ranking share: from neighbour lists to k-reciprocal encodings.

In the notation of the paper, with k+1 counting the item itself as the authors' code does:

    R(i,k)   = { j in the k nearest of i, or i itself : i is in the k nearest of j, or j itself }
    R*(i)    = R(i,k1) and every R(c,h) with c in R(i,k1) and |R(c,h) & R(i,k1)| > 2/3 |R(c,h)|,  h = round(k1/2)
    V[i,j]   = exp(-d~(i,j)) / sum over R*(i) of exp(-d~),  j in R*(i);   d~(i,j) = d(i,j) / max_j d(i,j)
    V'[i]    = mean of V over i and its k2-1 nearest

Nothing here is N x N: an encoding has a few dozen non-zeros, and everything is a sparse matrix or a block of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from retrieval.rerank.settings import RerankSettings
from retrieval.similarity import pair_similarities
from retrieval.vectors import squared_distance

Rows = npt.NDArray[np.int32]
BLOCK = 4096  # items encoded at a time
ONE_PLACE = 1e-5  # a largest distance below this is rounding: all items are copies of one vector


@dataclass(frozen=True, slots=True, eq=False)
class NeighbourLists:
    """What the encodings are made from; row i speaks of item i.

    vectors  float32 (N, D), unit length.
    indices  int32 (N, reach): the nearest other items, nearest first; -1 where there are no more.
    lowest   float32 (N,): the similarity of the item farthest away, which normalises the item's distances.
    """

    vectors: npt.NDArray[np.float32]
    indices: npt.NDArray[np.int32]
    lowest: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indices)


def reciprocal(lists: NeighbourLists, rows: Rows, k: int) -> npt.NDArray[np.bool_]:
    """Which of the k nearest of each row have the row among their own k nearest: bool (len(rows), k)."""
    mine = lists.indices[rows, :k]
    out = np.empty(mine.shape, np.bool_)
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        theirs = lists.indices[mine[block], :k]  # a -1 reads the last item's list, and is masked out below
        out[block] = (theirs == rows[block, None, None]).any(axis=2) & (mine[block] >= 0)
    return out


def encode(
    lists: NeighbourLists,
    rows: Rows,
    mutual_half: npt.NDArray[np.bool_],
    settings: RerankSettings,
    progress: Callable[[int], None] | None = None,
) -> sparse.csr_array:
    """V of the given rows, before averaging: float32 (len(rows), N), indices ascending in each row.

    mutual_half  bool (N, h): `reciprocal(lists, ..., h)` of every item that occurs in the rows' lists.
    progress     called now and then with how many rows are done.
    """
    starts = range(0, max(len(rows), 1), BLOCK)
    blocks = []
    for start in starts:
        blocks.append(_encode_block(lists, rows[start : start + BLOCK], mutual_half, settings))
        if progress is not None:
            progress(min(start + BLOCK, len(rows)))
    return blocks[0] if len(blocks) == 1 else sparse.csr_array(sparse.vstack(blocks, format="csr"))


def _encode_block(
    lists: NeighbourLists, rows: Rows, mutual_half: npt.NDArray[np.bool_], settings: RerankSettings
) -> sparse.csr_array:
    size, half = len(lists), settings.half
    nearest = lists.indices[rows, : settings.k1]
    chosen = reciprocal(lists, rows, settings.k1)
    # R(i,k1): the mutual neighbours and the item itself.
    own = np.arange(len(rows), dtype=np.int32)
    who = np.concatenate((np.nonzero(chosen)[0].astype(np.int32), own))
    member = np.concatenate((nearest[chosen], rows))
    first = _pattern(who, member, (len(rows), size))
    # The members, numbered densely, and their R(c,h).
    members, column = np.unique(member, return_inverse=True)
    inner = mutual_half[members, :half]
    inner_size = inner.sum(axis=1) + 1
    wide = _pattern(
        np.concatenate((np.nonzero(inner)[0].astype(np.int32), np.arange(len(members), dtype=np.int32))),
        np.concatenate((lists.indices[members, :half][inner], members)),
        (len(members), size),
    )
    overlap = (first @ wide.T).tocsr()  # (rows, members): |R(c,h) & R(i,k1)|, for more pairs than are asked about
    asked = _pattern(who, column.astype(np.int32), (len(rows), len(members)))
    shared = asked.multiply(overlap).tocoo()
    enough = 3 * shared.data > 2 * inner_size[shared.col]
    added = _pattern(shared.row[enough], shared.col[enough], (len(rows), len(members))) @ wide
    expanded = (first + added).tocsr()
    expanded.sort_indices()
    return _weigh(lists, rows, expanded)


def _weigh(lists: NeighbourLists, rows: Rows, expanded: sparse.csr_array) -> sparse.csr_array:
    """Gives the pattern of R* its weights exp(-d~), each row summing to 1."""
    counts = np.diff(expanded.indptr)
    left = np.repeat(rows, counts)
    similarity = pair_similarities(lists.vectors, left, lists.vectors, expanded.indices)
    distance = squared_distance(similarity)
    distance[left == expanded.indices] = 0.0  # an item is at no distance from itself, whatever rounding says
    weights = np.exp(-relative_distance(distance, np.repeat(lists.lowest[rows], counts)))
    starts = expanded.indptr[:-1]
    weights /= np.repeat(np.add.reduceat(weights, starts), counts)
    return sparse.csr_array((weights, expanded.indices, expanded.indptr), shape=expanded.shape)


def average(
    encodings: Callable[[Rows], sparse.csr_array], lists: NeighbourLists, rows: Rows, settings: RerankSettings
) -> sparse.csr_array:
    """V' of the given rows: float32 (len(rows), N).

    encodings  gives V of the items it is asked for: those of the rows and of their k2-1 nearest.
    """
    near = lists.indices[rows, : settings.k2 - 1]
    found = near >= 0
    own = np.arange(len(rows), dtype=np.int32)
    who = np.concatenate((own, np.nonzero(found)[0].astype(np.int32)))
    over, place = np.unique(np.concatenate((rows, near[found])), return_inverse=True)
    share = (1.0 / (1.0 + found.sum(axis=1))).astype(np.float32)
    weights = sparse.csr_array((share[who], (who, place)), shape=(len(rows), len(over)))
    return sparse.csr_array(weights @ encodings(over))


def relative_distance(
    distance: npt.NDArray[np.float32], lowest: npt.NDArray[np.float32] | np.float32
) -> npt.NDArray[np.float32]:
    """d~: the distance over the largest distance of that item; 0 where all items are at one place."""
    largest = largest_distance(lowest)
    if largest.ndim == 0:  # one probe: this is on the path of a request
        return np.minimum(distance / largest, np.float32(1)) if largest > 0 else np.zeros_like(distance)
    apart = largest > 0
    return np.asarray(np.where(apart, np.minimum(distance / np.where(apart, largest, 1.0), 1.0), 0.0), dtype=np.float32)


def largest_distance(lowest: npt.NDArray[np.float32] | np.float32) -> npt.NDArray[np.float32]:
    """max_j d(i,j) from the similarity of the farthest item; 0 where that is only rounding."""
    largest = 2.0 - 2.0 * np.asarray(lowest, np.float32)
    return np.where(largest > ONE_PLACE, largest, np.float32(0))


def _pattern(row: Rows, column: Rows, shape: tuple[int, int]) -> sparse.csr_array:
    """A sparse matrix of ones; int32, so that a product counts."""
    return sparse.csr_array((np.ones(len(row), np.int32), (row, column)), shape=shape)
