"""Re-ranks what a search has found: among the candidates alone, or by what is kept beside each of its neighbours."""

from __future__ import annotations

import base64
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from retrieval import RerankSettings, rank_local
from retrieval.rerank import CandidateGraph, Candidates, GraphRows
from service.gallery.milvus.found import Found

MOST_UNENCODED = 64  # candidates that are encoded as they are met; of more, a search would take too long


@dataclass(frozen=True, slots=True, eq=False)
class Reranked:
    """Those that may be shown, in the new order. graph: what explains it; stale: how many had no encoding."""

    found: Found
    graph: CandidateGraph
    stale: int


def locally(vector: npt.NDArray[np.float32], shown: Found, around: Found, settings: RerankSettings) -> Found:
    """Re-ranks the nearest of the whole gallery together with those that may be shown; gives only these.

    vector  float32 (D,).
    """
    pool = shown.and_also(around)
    pool = pool.take(np.argsort(pool.keys))
    keys = pool.keys
    ranking = rank_local(vector, keys, pool.vectors, len(keys), settings)
    assert ranking.reranked is not None
    return _only(_reordered(pool, ranking.ids[0], ranking.reranked[0]), shown.ids)


def unencoded(shown: Found, around: Found) -> int:
    """How many of all these have no encoding."""
    return sum(not entity["near"] for entity in shown.and_also(around).entities)


def online(shown: Found, around: Found, lowest: float | None, settings: RerankSettings) -> Reranked:
    """Re-ranks those that may be shown by the neighbourhoods of the whole gallery.

    around  the probe's nearest of the whole gallery. lowest: the similarity of its farthest, if that is known.
    """
    graph = CandidateGraph(_candidates(around, settings), settings, pool=_candidates(shown, settings), lowest=lowest)
    ranking = graph.rank(len(shown))
    assert ranking.reranked is not None
    return Reranked(_reordered(shown, ranking.ids[0], ranking.reranked[0]), graph, graph.unencoded)


def as_text(row: bytes) -> str:
    """A row as it stands in a collection, which has no bytes."""
    return base64.b64encode(row).decode()


def _candidates(found: Found, settings: RerankSettings) -> Candidates:
    rows = GraphRows.read([base64.b64decode(entity["near"]) for entity in found.entities], settings)
    return Candidates(found.keys, 1 - found.distances / np.float32(2), rows, found.vectors)


def _reordered(found: Found, keys: npt.NDArray[np.int64], reranked: npt.NDArray[np.float32]) -> Found:
    """The candidates in the order of these keys, which are theirs; equals by id."""
    place = {key: at for at, key in enumerate(found.keys.tolist())}
    ordered = found.take([place[key] for key in keys.tolist()])
    return replace(ordered, reranked=reranked).in_order()


def _only(found: Found, ids: Collection[str]) -> Found:
    wanted = set(ids)
    return found.take([place for place, id in enumerate(found.ids) if id in wanted])
