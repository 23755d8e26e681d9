"""Many items at once: added from a stream of lines, deleted by their ids or by a filter."""

from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from service.api.access import MayDelete, MayIngest
from service.api.addresses import FromAddress, parameters
from service.api.answers import moment
from service.api.bodies import content_type, receive_json
from service.api.bulk import Bulk
from service.api.documents import NDJSON, json_body, problems, rows_body
from service.api.fields import Body, GalleryName, Label
from service.api.filter_fields import FilterBody
from service.api.item_fields import ItemRow
from service.api.lines import lines_of
from service.api.problems import Problem, invalid
from service.api.replies import encoded, reply
from service.gallery import DeleteReceipt

router = APIRouter(prefix="/v1", tags=["items"])
_MOST_IDS = 10_000
_ROWS = (
    '{"id": "cam1/0007.jpg", "image_b64": "/9j/4AAQ...", "camera_id": "c1"}\n'
    '{"id": "cam2/0007.jpg", "image_b64": "/9j/4AAQ...", "camera_id": "c2"}\n'
)


class BulkQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    on_conflict: str = Field(
        default="replace", pattern="^(replace|refuse)$", description="What to do with an id that is there."
    )


class RowResult(BaseModel):
    """What became of a line."""

    line: int = Field(ge=1)
    id: str | None
    outcome: str = Field(description="added, replaced, unchanged, refused, denied or failed.")
    problem: dict[str, Any] | None = Field(description="Why it failed.")


class BulkAnswer(BaseModel):
    """What became of all lines."""

    counts: dict[str, int]
    rows: list[RowResult]


class DeleteBody(Body):
    """Which items to delete: by their ids, or all that meet a filter."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["ids"]}, {"required": ["filter"]}]})

    ids: Annotated[tuple[Label, ...], Field(min_length=1, max_length=_MOST_IDS)] | None = None
    filter: FilterBody | None = None
    dry_run: bool = Field(default=False, description="Say only what would be deleted.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give exactly one of ids and filter")
        return self


class DeleteAnswer(BaseModel):
    """The receipt of a delete."""

    gallery: str
    ids: list[str] = Field(description="What was deleted, or would be.")
    missing: list[str] = Field(description="Asked for, but not there.")
    dry_run: bool
    at: str
    removed: dict[str, int] = Field(description="How many, by place.")
    pending: list[str] = Field(description="Where something of them may be left until `compact`.")


@router.post(
    "/galleries/{gallery}/items:batch",
    operation_id="put_items",
    summary="Add or replace many items",
    responses={
        200: {
            "model": BulkAnswer,
            "description": "What became of each line; as lines where the client accepts application/x-ndjson.",
            "content": {NDJSON: {"schema": {"type": "string"}}},
        },
        **problems(507),
    },
    openapi_extra=rows_body(ItemRow, _ROWS) | parameters(BulkQuery),
)
async def put_items(
    request: Request,
    gallery: GalleryName,
    caller: MayIngest,
    query: Annotated[BulkQuery, Depends(FromAddress(BulkQuery))],
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Takes lines as they come and commits them in batches. A line that is wrong does not hinder the others.

    What was committed stays also when the request breaks off: sending it again changes nothing that is there already.
    """
    if (kind := content_type(request)) not in (NDJSON, "application/ndjson", "application/jsonl"):
        raise Problem(
            "unsupported-media-type", f"the Content-Type is {kind or 'not given'}: send {NDJSON}, a row a line"
        )
    settings = await caller.service.settings_of(gallery)
    bulk = Bulk(caller, gallery, settings, "refuse" if query.on_conflict == "refuse" else "replace")
    async for line in lines_of(request.stream(), caller.service.settings.max_body_bytes):
        await bulk.take(line)
    await bulk.flush()
    if accept is not None and NDJSON in accept:
        return Response(b"".join(encoded(row) + b"\n" for row in bulk.rows), media_type=NDJSON)
    return reply({"counts": bulk.counts(), "rows": bulk.rows})


@router.post(
    "/galleries/{gallery}/items:delete",
    operation_id="delete_items",
    summary="Delete many items",
    responses={200: {"model": DeleteAnswer}, **problems(507)},
    openapi_extra=json_body(
        DeleteBody,
        {"by id": {"ids": ["cam1/0007.jpg"]}, "what would go": {"filter": {"persons": ["0007"]}, "dry_run": True}},
    ),
)
async def delete_items(request: Request, gallery: GalleryName, caller: MayDelete) -> Response:
    """Deletes by ids, or by a filter that is not empty. The receipt says from where, and what is left on disk."""
    body = await receive_json(request, DeleteBody)
    filter = None if body.filter is None else body.filter.filter()
    if filter is not None and filter.empty:
        raise invalid([("body filter", "it holds for every item: name a condition, or delete the gallery")])
    running = caller.running

    def work() -> DeleteReceipt:
        receipt = running.engine.delete(gallery, ids=body.ids, filter=filter, dry_run=body.dry_run)
        told: dict[str, Any] = {"dry_run": receipt.dry_run}
        if body.filter is not None:
            told["filter"] = body.filter.model_dump(mode="json", exclude_defaults=True)
        running.recorder.written(caller, "delete", gallery, told, receipt.ids)
        return receipt

    receipt = await running.writes.run(work)
    return reply(
        {
            "gallery": receipt.gallery,
            "ids": list(receipt.ids),
            "missing": list(receipt.missing),
            "dry_run": receipt.dry_run,
            "at": moment(receipt.at),
            "removed": receipt.removed,
            "pending": list(receipt.pending),
        }
    )
