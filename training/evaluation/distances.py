"""Distances of every query to every gallery item, plain or re-ranked, a few rows at a time: the whole never exists.

MSMT17's matrix is 11,659 x 82,161 numbers, 3.8 GB. Each of these can be iterated any number of times, and computes
everything anew each time: what is plain costs one matrix product.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from retrieval import ReciprocalGraph, RerankSettings, k_reciprocal_blocks, rank_local, squared_distance
from training.evaluation.errors import EvaluationError

Floats: TypeAlias = NDArray[np.float32]
Rerank = Literal["off", "exact", "online", "local"]
RERANKS: tuple[Rerank, ...] = get_args(Rerank)

_VALUES = 1 << 23  # in a block: 32 MB
_RERANKED_ROWS = 64


@dataclass(frozen=True, slots=True, eq=False)
class DistanceRows:
    """query: float32 (Q, D), gallery: float32 (G, D), both of unit length; iterating gives float32 (rows, G) blocks.

    off: squared Euclidean distances. exact: k-reciprocal re-ranking, all queries pooled with the gallery, as published.
    online: one query at a time against a prepared gallery, as the service answers. local: each query's `local_top`
    nearest, re-ranked among themselves; all others follow in plain order. Its numbers are places, from 0: re-ranked and
    plain distances are no common scale.
    """

    query: Floats
    gallery: Floats
    rerank: Rerank = "off"
    settings: RerankSettings = field(default_factory=RerankSettings)
    local_top: int = 400

    def __post_init__(self) -> None:
        if self.rerank not in RERANKS:
            raise EvaluationError(f"rerank is {self.rerank!r}: choose one of {', '.join(RERANKS)}")
        if self.local_top < 1:
            raise EvaluationError(f"local_top is {self.local_top}: re-rank at least 1 candidate")

    def __iter__(self) -> Iterator[Floats]:
        return _WAYS[self.rerank](self)


def _plain(rows: DistanceRows) -> Iterator[Floats]:
    step = max(1, _VALUES // max(1, len(rows.gallery)))
    for start in range(0, len(rows.query), step):
        yield squared_distance(rows.query[start : start + step] @ rows.gallery.T)


def _exact(rows: DistanceRows) -> Iterator[Floats]:
    settings = rows.settings
    for _, block in k_reciprocal_blocks(rows.query, rows.gallery, settings.k1, settings.k2, settings.lam):
        yield block


def _online(rows: DistanceRows) -> Iterator[Floats]:
    graph = ReciprocalGraph.build(rows.gallery, settings=rows.settings)
    everything = len(rows.gallery)
    for start in range(0, len(rows.query), _RERANKED_ROWS):
        block = np.empty((len(rows.query[start : start + _RERANKED_ROWS]), everything), np.float32)
        for place, row in enumerate(block):
            ranking = graph.rank(rows.query[start + place][None], top=everything)
            assert ranking.reranked is not None
            row[ranking.ids[0]] = ranking.reranked[0]
        yield block


def _local(rows: DistanceRows) -> Iterator[Floats]:
    top = min(rows.local_top, len(rows.gallery))
    places = np.arange(len(rows.gallery), dtype=np.float32)
    start = 0
    for block in _plain(rows):
        for row, probe in zip(block, rows.query[start : start + len(block)], strict=True):
            order = np.argsort(row, kind="stable")
            order[:top] = rank_local(probe, order[:top], rows.gallery[order[:top]], top, rows.settings).ids[0]
            row[order] = places
        yield block
        start += len(block)


_WAYS: dict[Rerank, Callable[[DistanceRows], Iterator[Floats]]] = {
    "off": _plain,
    "exact": _exact,
    "online": _online,
    "local": _local,
}
