"""Calls: who is this, and what is its vector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from service.client.answers import Embedding, RerankMode, SearchAnswer
from service.client.calls import JSON, Call, given, json_as, json_bytes, path_of
from service.client.errors import BadCallError
from service.client.filters import Filter
from service.client.new_items import numbers
from service.client.pictures import Picture, picture_part

GroupBy = Literal["none", "person", "tracklet", "camera"]
Include = Literal["metadata", "embedding"]


def search(
    gallery: str,
    *,
    image: Picture | None = None,
    images: Sequence[Picture] | None = None,
    item: str | None = None,
    embedding: Iterable[float] | None = None,
    top_k: int | None = None,
    rerank: RerankMode | None = None,
    filter: Filter | None = None,
    group_by: GroupBy | None = None,
    max_per_group: int | None = None,
    min_score: float | None = None,
    explain: bool | None = None,
    exact: bool | None = None,
    include: Sequence[Include] | None = None,
    exclude_same_camera_within_s: float | None = None,
    probe_camera_id: str | None = None,
    probe_captured_at: datetime | None = None,
    model_sha256: str | None = None,
    deadline_ms: int | None = None,
) -> Call[SearchAnswer]:
    """Who of the people in the gallery is this? Exactly one of image, images (crops of one tracklet), item (an id) and
    embedding. What is left out is as the service has it: 10 results, re-ranked as the gallery is set."""
    probes = given(image=image, images=images, item=item, embedding=embedding)
    if len(probes) != 1:
        named = " and ".join(probes) + " are given" if probes else "none is given"
        raise BadCallError(f"search by exactly one of image, images, item and embedding: {named}")
    asked = given(
        top_k=top_k,
        rerank=rerank,
        filter=None if filter is None else filter.body(),
        group_by=group_by,
        max_per_group=max_per_group,
        min_score=min_score,
        explain=explain,
        exact=exact,
        include=None if include is None else list(include),
        exclude_same_camera_within_s=exclude_same_camera_within_s,
        probe_camera_id=probe_camera_id,
        probe_captured_at=probe_captured_at,
        model_sha256=model_sha256,
        deadline_ms=deadline_ms,
    )
    if images is not None:
        if isinstance(images, bytes | str) or not images:
            raise BadCallError("images is a list of the crops of one tracklet: give one crop or more")
        return _with_pictures(path_of("galleries", gallery, action="/search:batch"), images, asked, SearchAnswer)
    path = path_of("galleries", gallery, action="/search")
    if image is not None:
        return _with_pictures(path, [image], asked, SearchAnswer)
    probe = {"item_id": item} if embedding is None else {"embedding": numbers(embedding)}
    return Call(
        method="POST",
        path=path,
        read=json_as(SearchAnswer),
        repeatable=True,
        body=json_bytes(probe | asked),
        content_type=JSON,
        within=_seconds(deadline_ms),
    )


def embed(image: Picture, *, deadline_ms: int | None = None) -> Call[Embedding]:
    """The vector of a crop; nothing is searched or kept."""
    return _with_pictures(path_of("embed"), [image], given(deadline_ms=deadline_ms), Embedding)


def _with_pictures(path: str, pictures: Sequence[Picture], asked: dict[str, Any], kind: type[Any]) -> Call[Any]:
    parts = [picture_part(picture) for picture in pictures]
    if asked:
        parts.append(("params", (None, json_bytes(asked), JSON)))
    return Call(
        method="POST",
        path=path,
        read=json_as(kind),
        repeatable=True,
        parts=tuple(parts),
        within=_seconds(asked.get("deadline_ms")),
    )


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
