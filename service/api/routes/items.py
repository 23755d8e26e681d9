"""Single items: put, looked at, listed, deleted."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from service.api.access import Caller, MayDelete, MayIngest, MayLook
from service.api.addresses import FromAddress, parameters
from service.api.answers import ItemView, item_url, item_view, moment
from service.api.bodies import parse, receive
from service.api.documents import answer, picture_body, problems
from service.api.fields import Flag, GalleryName, ItemId, UpToThousand
from service.api.filter_fields import FilterQuery
from service.api.item_fields import ItemBody, ItemFacts, ItemQuery
from service.api.probing import deadline_of, given_vector, look
from service.api.problems import Problem, invalid
from service.api.replies import reply
from service.gallery import EVERYTHING, Item, NewItem, NoSuchItemError, OnConflict, require_model
from service.gallery.items import check_id
from service.stripping import without_metadata

router = APIRouter(prefix="/v1", tags=["items"])


class ItemDetail(ItemView):
    """An item in full."""

    added_at: str
    expires_at: str | None
    crop_sha256: str | None = Field(description="Of its picture's file as it is kept, without metadata such as EXIF.")


class ItemPut(BaseModel):
    """What became of an item."""

    id: str
    outcome: str = Field(description="added, replaced or unchanged.")


class ItemPage(BaseModel):
    """Items in the order in which they were added."""

    items: list[ItemDetail]
    cursor: str | None = Field(description="Where the next page starts; null after the last.")


class ListQuery(FilterQuery):
    cursor: str | None = Field(default=None, max_length=1000, description="Of the page before.")
    limit: UpToThousand = 100
    vectors: Flag = Field(default=False, description="Whether items come with their embeddings.")


@router.get(
    "/galleries/{gallery}/items",
    operation_id="list_items",
    summary="Items, by page",
    responses={200: {"model": ItemPage}, **problems()},
    openapi_extra=parameters(ListQuery),
)
async def list_items(
    gallery: GalleryName, caller: MayLook, query: Annotated[ListQuery, Depends(FromAddress(ListQuery))]
) -> Response:
    """Lists items that meet all conditions. A cursor stays good while items come and go."""
    body = query.body()
    filter = EVERYTHING if body is None else body.filter()
    engine = caller.running.engine
    page = await caller.running.searches.run(
        lambda: engine.list(gallery, filter, cursor=query.cursor, limit=query.limit, vectors=query.vectors)
    )
    return reply({"items": [_detail(gallery, item) for item in page.items], "cursor": page.cursor})


@router.get(
    "/galleries/{gallery}/items/{id}/crop",
    operation_id="get_crop",
    summary="An item's picture",
    response_class=Response,
    responses={
        200: answer("The picture, as it was sent.")
        | {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
        **problems(),
    },
)
async def get_crop(gallery: GalleryName, id: ItemId, caller: MayLook) -> Response:
    """The picture, where the gallery keeps them."""
    content = await caller.running.searches.run(lambda: caller.running.engine.crop(gallery, _known(id)))
    return Response(content, media_type=_media_type(content))


@router.get(
    "/galleries/{gallery}/items/{id}",
    operation_id="get_item",
    summary="An item",
    responses={200: {"model": ItemDetail}, **problems()},
)
async def get_item(
    gallery: GalleryName,
    id: ItemId,
    caller: MayLook,
    vector: Annotated[Flag, Query(description="Whether it comes with its embedding.")] = False,
) -> Response:
    """All that is known of an item."""
    item = await caller.running.searches.run(lambda: caller.running.engine.get(gallery, _known(id), vector=vector))
    return reply(_detail(gallery, item))


@router.put(
    "/galleries/{gallery}/items/{id}",
    operation_id="put_item",
    summary="Add or replace an item",
    status_code=201,
    responses={
        200: {"model": ItemPut} | answer("It was there, and is replaced or unchanged.", ["Location"]),
        201: {"model": ItemPut} | answer("It is new.", ["Location"]),
        **problems(409, 412, 504, 507),
    },
    openapi_extra=picture_body(
        ItemBody, ItemFacts, "item", {"a picture": {"image_b64": "/9j/4AAQ...", "camera_id": "c1", "person": "0007"}}
    )
    | parameters(ItemQuery),
)
async def put_item(
    request: Request,
    gallery: GalleryName,
    id: ItemId,
    caller: MayIngest,
    query: Annotated[ItemQuery, Depends(FromAddress(ItemQuery))],
    if_none_match: Annotated[str | None, Header(description="`*` refuses to replace an item that is there.")] = None,
) -> Response:
    """Puts an item; doing it again changes nothing. When this is answered, it is durable and every search finds it."""
    if if_none_match is not None and if_none_match.strip() != "*":
        raise invalid([("header If-None-Match", "only * is known here: it refuses to replace an item")])
    check_id(id)
    item = await _item(request, gallery, id, caller, query)
    conflict: OnConflict = "replace" if if_none_match is None else "refuse"
    running = caller.running

    def work() -> str:
        outcome = running.engine.add(gallery, [item], on_conflict=conflict)[0].outcome
        refused = outcome in ("refused", "denied")
        running.recorder.written(caller, "put", gallery, ids=[id], outcome=outcome if refused else "ok")
        return outcome

    outcome = await running.writes.run(work)
    if outcome == "refused":
        raise Problem(
            "item-exists", f"there is an item {id!r} in gallery {gallery!r}: leave If-None-Match out to replace it"
        )
    if outcome == "denied":
        raise Problem("erased-id", f"the item {id!r} was erased from gallery {gallery!r}, which does not take it back")
    status = 201 if outcome == "added" else 200
    return reply({"id": id, "outcome": outcome}, status, {"Location": item_url(gallery, id)})


@router.delete(
    "/galleries/{gallery}/items/{id}",
    operation_id="delete_item",
    summary="Delete an item",
    status_code=204,
    response_class=Response,
    responses={204: answer("It is deleted."), **problems(507)},
)
async def delete_item(gallery: GalleryName, id: ItemId, caller: MayDelete) -> Response:
    """Deletes an item: no search finds it from now on. What is left of it on disk goes with `compact`."""
    running = caller.running
    known = _known(id)

    def work() -> bool:
        receipt = running.engine.delete(gallery, ids=[known])
        if receipt.ids:
            running.recorder.written(caller, "delete", gallery, ids=receipt.ids)
        return bool(receipt.ids)

    if not await running.writes.run(work):
        raise Problem("no-such-item", f"there is no item {id!r} in gallery {gallery!r}")
    return Response(status_code=204)


async def _item(request: Request, gallery: str, id: str, caller: Caller, query: ItemQuery) -> NewItem:
    received = await receive(request, "item")
    settings = await caller.service.settings_of(gallery)
    if not received.pictures:
        body = parse(ItemBody, received.document or b"")
        if query != ItemQuery():
            raise invalid([("query", "with JSON everything stands in it: leave the address's parameters out")])
        if "embedding" in body.model_fields_set:
            vector = given_vector(gallery, settings, body.embedding, body.model_sha256)
            return body.item(id, vector, None, None)
        facts: ItemFacts = body
        picture = body.image_b64
    else:
        if len(received.pictures) > 1:
            raise invalid([("part image", f"there are {len(received.pictures)}: an item has one picture")])
        picture = received.pictures[0]
        facts = query.facts()
        if received.document is not None:
            if query != ItemQuery():
                raise invalid([("query", "the part `item` is there: leave the address's parameters out")])
            facts = parse(ItemFacts, received.document, "part item")
    served = caller.running.holder.current
    require_model(gallery, settings, served.name, served.sha256)
    looked = await look(request, caller, [picture], deadline_of(caller, None))
    require_model(gallery, settings, looked.model.name, looked.model.sha256)
    viewpoint = None if looked.viewpoints is None else looked.viewpoints[0]
    # What is kept of it is the picture, and nothing of where, when and with what it was taken.
    return facts.item(id, looked.vectors[0], viewpoint, await asyncio.to_thread(without_metadata, picture))


def _known(id: str) -> str:
    """An id that no item can have names none."""
    try:
        return check_id(id)
    except ValueError as error:
        raise NoSuchItemError(f"there is no item {id!r}: {error}") from error


def _detail(gallery: str, item: Item) -> dict[str, Any]:
    return item_view(gallery, item) | {
        "added_at": moment(item.added_at),
        "expires_at": moment(item.expires_at),
        "crop_sha256": item.crop_sha256,
    }


def _media_type(content: bytes) -> str:
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG"):
        return "image/png"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return "image/bmp" if content.startswith(b"BM") else "application/octet-stream"
