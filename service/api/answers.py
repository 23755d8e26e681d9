"""What searches answer: the shape that clients may rely on, and how the gallery's answer is brought into it.

The models describe; what is sent is made as plain values, because a model of each result costs more than the search.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, Field

from service.api.verdicts import VerdictBody
from service.gallery import Answer, Hit, Item
from service.gallery.searching import MOST_CROPS
from service.verdicts import Verdicts


class ServedModelBody(BaseModel):
    """The model that serves, and what ran it."""

    name: str
    sha256: str
    provider: str = Field(description="What ran it, in onnxruntime's words.", examples=["CPUExecutionProvider"])


class Shared(BaseModel):
    """A neighbour that both the probe and the result lean on."""

    id: str
    weight: float


class ExplainBody(BaseModel):
    """Why a result stands where it stands."""

    mutual: bool = Field(description="Whether probe and result are among each other's nearest.")
    shared: list[Shared] = Field(description="Heaviest first.")


class ItemView(BaseModel):
    """What is known of an item."""

    id: str
    camera_id: str | None
    captured_at: datetime | None
    tracklet_id: str | None
    person: str | None
    viewpoint: list[float] | None = Field(description="Front, side and back; they sum to 1.")
    quality: float | None
    metadata: dict[str, Any] | None = None
    crop_url: str | None = Field(description="Where its picture is, if one is kept.")
    embedding: list[float] | None = None


class Result(ItemView):
    """A search's result."""

    rank: int = Field(ge=1)
    score: float = Field(description="Cosine similarity, -1 to 1. No probability that it is the same person.")
    verdict: Literal["likely", "unsure", "unlikely"] | None = Field(
        description="What the model's calibration makes of the score; null where there is none."
    )
    distance: float = Field(description="2 - 2 score.")
    distance_reranked: float | None = Field(description="By which results are ordered, where they were re-ranked.")
    confirmed: bool = Field(description="Whether feedback says that it is the probe's person.")
    explain: ExplainBody | None = None


class RerankBody(BaseModel):
    """What was done about re-ranking."""

    applied: bool
    mode: Literal["off", "online", "local"]
    k1: int
    k2: int
    lam: float
    reason_skipped: str | None
    stale_neighbours: int


class QueryBody(BaseModel):
    """What was searched for. sha256 names it in feedback."""

    item_id: str | None
    crops: int = Field(ge=0, le=MOST_CROPS)
    sha256: str | None = Field(
        description="Of the picture's file; of several, of their sorted hashes in hexadecimal. Name it in feedback."
    )
    width: int | None
    height: int | None
    viewpoint: list[float] | None


class SearchAnswer(BaseModel):
    """Who of the people in the gallery is this?"""

    request_id: str
    gallery: str
    index_version: int = Field(description="The gallery's change number that this takes account of, at least.")
    model: ServedModelBody
    results: list[Result]
    returned: int
    requested: int
    exhausted: bool = Field(description="No more items than these meet the request.")
    exact: bool = Field(description="Whether the nearest were sought among all vectors.")
    filtered_candidates: int | None = Field(description="How many items the filter allows; null without a filter.")
    hidden: int = Field(description="How many feedback kept out: they are known to show somebody else.")
    calibration: VerdictBody | None = Field(description="Where verdicts come from.")
    no_verdict_because: str | None
    rerank: RerankBody
    query: QueryBody
    timings_ms: dict[str, float] = Field(description="decode, queue, embed, search, rerank, fetch and total.")


def search_answer(
    answer: Answer, verdicts: Verdicts, *, head: Mapping[str, Any], query: Mapping[str, Any], include: tuple[str, ...]
) -> dict[str, Any]:
    """head: request_id, model. query: as QueryBody says."""
    done = answer.reranking
    results = [
        _result(answer.gallery, hit, word, include) for hit, word in zip(answer.hits, verdicts.words, strict=True)
    ]
    return {
        **head,
        "gallery": answer.gallery,
        "index_version": answer.change,
        "results": results,
        "returned": len(results),
        "requested": answer.requested,
        "exhausted": answer.exhausted,
        "exact": answer.exact,
        "filtered_candidates": answer.allowed,
        "hidden": answer.hidden,
        "calibration": verdicts.thresholds,
        "no_verdict_because": verdicts.reason,
        "rerank": {
            "applied": done.applied,
            "mode": done.mode,
            "k1": done.k1,
            "k2": done.k2,
            "lam": done.lam,
            "reason_skipped": done.reason_skipped,
            "stale_neighbours": done.stale,
        },
        "query": query,
    }


def item_view(gallery: str, item: Item, *, metadata: bool = True) -> dict[str, Any]:
    view: dict[str, Any] = {
        "id": item.id,
        "camera_id": item.camera,
        "captured_at": moment(item.captured_at),
        "tracklet_id": item.tracklet,
        "person": item.person,
        "viewpoint": None if item.viewpoint is None else list(item.viewpoint),
        "quality": item.quality,
        "crop_url": f"{item_url(gallery, item.id)}/crop" if item.has_crop else None,
    }
    if metadata:
        view["metadata"] = item.metadata
    if item.vector is not None:
        view["embedding"] = item.vector.tolist()
    return view


def item_url(gallery: str, id: str) -> str:
    return f"/v1/galleries/{quote(gallery, safe='')}/items/{quote(id, safe='')}"


def moment(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat().replace("+00:00", "Z")


def _result(gallery: str, hit: Hit, verdict: str | None, include: tuple[str, ...]) -> dict[str, Any]:
    result = item_view(gallery, hit.item, metadata="metadata" in include)
    result |= {
        "rank": hit.rank,
        "score": float(hit.score),
        "verdict": verdict,
        "distance": float(hit.distance),
        "distance_reranked": None if hit.reranked is None else float(hit.reranked),
        "confirmed": hit.confirmed,
    }
    if (why := hit.explanation) is not None:
        shared = [{"id": id, "weight": float(weight)} for id, weight in why.shared]
        result["explain"] = {"mutual": bool(why.mutual), "shared": shared}
    return result
