"""Calls on single items, on pages of them, and deletes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from service.client.answers import DeleteReceipt, Item, Put
from service.client.calls import JSON, Call, Reply, given, json_as, json_bytes, path_of
from service.client.errors import BadCallError
from service.client.filters import Filter
from service.client.new_items import NewItem
from service.client.pictures import Picture, picture_part

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """next: asks for the page after it; None after the last."""

    held: tuple[T, ...]
    next: Call[Page[T]] | None


@dataclass(frozen=True, slots=True)
class _ItemPage:
    items: tuple[Item, ...]
    cursor: str | None


def add(
    gallery: str,
    id: str,
    *,
    image: Picture | None = None,
    embedding: Iterable[float] | None = None,
    camera_id: str | None = None,
    captured_at: datetime | None = None,
    person: str | None = None,
    tracklet_id: str | None = None,
    viewpoint: Sequence[float] | None = None,
    quality: float | None = None,
    metadata: Mapping[str, Any] | None = None,
    expires_at: datetime | None = None,
    model_sha256: str | None = None,
    only_if_absent: bool = False,
) -> Call[Put]:
    """Adds an item or replaces it; when this is answered it is durable, and every search finds it. Fields as those of
    `NewItem`. only_if_absent: one that is there stays, and a ConflictError says so."""
    item = NewItem(
        id=id,
        image=image,
        embedding=embedding,
        camera_id=camera_id,
        captured_at=captured_at,
        person=person,
        tracklet_id=tracklet_id,
        viewpoint=viewpoint,
        quality=quality,
        metadata=metadata or {},
        expires_at=expires_at,
        model_sha256=model_sha256,
    )
    call = Call(
        method="PUT",
        path=path_of("galleries", gallery, "items", id),
        read=json_as(Put),
        repeatable=not only_if_absent,
        headers={"If-None-Match": "*"} if only_if_absent else {},
    )
    if image is not None:
        facts = item.facts()
        told = [("item", (None, json_bytes(facts), JSON))] if facts else []
        return replace(call, parts=(picture_part(image), *told))
    row = item.row()
    del row["id"]
    return replace(call, body=json_bytes(row), content_type=JSON)


def get(gallery: str, id: str, *, vector: bool = False) -> Call[Item]:
    """All that is known of an item. vector: with its embedding."""
    return Call(
        method="GET",
        path=path_of("galleries", gallery, "items", id),
        read=json_as(Item),
        repeatable=True,
        parameters=(("vector", "true"),) if vector else (),
    )


def crop(gallery: str, id: str) -> Call[bytes]:
    """The item's picture as a file, where the gallery keeps them."""
    return Call(
        method="GET",
        path=path_of("galleries", gallery, "items", id, action="/crop"),
        read=lambda reply: reply.content,
        repeatable=True,
    )


def items(
    gallery: str, *, filter: Filter | None = None, vectors: bool = False, page_size: int = 1000
) -> Call[Page[Item]]:
    """Items that meet all conditions, in the order in which they were added; pages are asked for as they are needed.
    vectors: with their embeddings."""
    asked = [("limit", str(page_size))] + ([("vectors", "true")] if vectors else [])
    return _page(gallery, (*asked, *(filter.parameters() if filter is not None else ())), None)


def delete(
    gallery: str, *, ids: Iterable[str] | None = None, filter: Filter | None = None, dry_run: bool = False
) -> Call[DeleteReceipt]:
    """Deletes items by their ids, at most 10,000, or all that meet a filter. dry_run: says only what would be deleted.

    Where an answer is lost, a delete by ids is asked again: its receipt then names under `missing` what the first one
    deleted.
    """
    if (ids is None) == (filter is None):
        raise BadCallError("delete by exactly one of ids and filter")
    if isinstance(ids, str):
        raise BadCallError(f"ids is {ids!r}: give a list, [{ids!r}]")
    body = given(
        ids=None if ids is None else list(ids), filter=None if filter is None else filter.body(), dry_run=dry_run
    )
    return Call(
        method="POST",
        path=path_of("galleries", gallery, action="/items:delete"),
        read=json_as(DeleteReceipt),
        repeatable=ids is not None or dry_run,
        body=json_bytes(body),
        content_type=JSON,
    )


def _page(gallery: str, asked: tuple[tuple[str, str], ...], cursor: str | None) -> Call[Page[Item]]:
    read_page = json_as(_ItemPage)

    def read(reply: Reply) -> Page[Item]:
        page = read_page(reply)
        return Page(page.items, None if page.cursor is None else _page(gallery, asked, page.cursor))

    return Call(
        method="GET",
        path=path_of("galleries", gallery, "items"),
        read=read,
        repeatable=True,
        parameters=asked if cursor is None else (*asked, ("cursor", cursor)),
    )
