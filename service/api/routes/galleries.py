"""Galleries themselves: made, looked at, dropped, and what keeps them in order."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from service.api.access import MayAdminister, MayAdministerSome, MayLook, MayLookAnywhere
from service.api.answers import moment
from service.api.bodies import receive_json
from service.api.documents import answer, json_body, problems
from service.api.fields import Body, GalleryName
from service.api.replies import reply
from service.api.routes.jobs import JOB_ANSWER, take_in
from service.api.verdicts import VerdictBody, verdicts_of
from service.gallery import (
    Damaged,
    GalleryInfo,
    GallerySettings,
    IndexKind,
    RerankMode,
    check_gallery_name,
    roll_call,
)

router = APIRouter(prefix="/v1", tags=["galleries"])


class GalleryBody(Body):
    """A gallery to be made, of the model that serves. What is left out is as usual."""

    name: str = Field(description="1 to 63 of a-z, 0-9, '.', '_' and '-', a letter or digit first.", examples=["demo"])
    index: IndexKind = "auto"
    rerank: RerankMode = "online"
    k1: int = Field(default=20, ge=1, le=1000)
    k2: int = Field(default=6, ge=1, le=1000)
    lam: float = Field(default=0.3, ge=0, le=1)
    store_crops: bool = Field(default=False, description="Whether the pictures themselves are kept.")
    ttl_seconds: int | None = Field(
        default=None, ge=1, le=10**10, description="Items expire so long after their capture."
    )
    deny_erased: bool = Field(default=False, description="Whether ids that were deleted are refused from then on.")


class IndexBody(BaseModel):
    """How a gallery is searched."""

    kind: str
    wanted: str
    recall: float | None
    parameters: dict[str, float]
    graph: str
    stale: int
    progress: float | None
    memory_bytes: int


class GalleryView(BaseModel):
    """A gallery."""

    name: str
    count: int
    dimension: int
    metric: str
    model_name: str
    model_sha256: str
    settings: dict[str, Any]
    created_at: str
    index_version: int
    index: IndexBody
    saved_at: str | None
    unsaved: int
    pending_purge: int
    disk_bytes: int


class GalleryDetail(GalleryView):
    """A gallery, and what its searches' scores mean."""

    calibration: VerdictBody | None = Field(description="Where verdicts come from.")
    no_verdict_because: str | None


class DamagedView(BaseModel):
    """A gallery that cannot be opened, and what to do."""

    name: str
    detail: str


class GalleryList(BaseModel):
    """Galleries, in alphabetical order."""

    galleries: list[GalleryView]
    damaged: list[DamagedView] = Field(description="Those that cannot be opened; asked, they answer 503.")


@router.get(
    "/galleries",
    operation_id="list_galleries",
    summary="All galleries",
    responses={200: {"model": GalleryList}, **problems()},
)
async def list_galleries(caller: MayLookAnywhere) -> Response:
    """The galleries that the key may search."""
    engine = caller.running.engine

    def work() -> tuple[list[GalleryInfo], list[Damaged]]:
        return roll_call(engine, lambda name: caller.allows("search", name))

    sound, damaged = await caller.running.searches.run(work)
    return reply({"galleries": [view(info) for info in sound], "damaged": [asdict(one) for one in damaged]})


@router.post(
    "/galleries",
    operation_id="create_gallery",
    summary="Make a gallery",
    status_code=201,
    responses={201: {"model": GalleryView} | answer("It is made.", ["Location"]), **problems(409, 507)},
    openapi_extra=json_body(
        GalleryBody, {"as usual": {"name": "entrance"}, "with crops": {"name": "entrance", "store_crops": True}}
    ),
)
async def create_gallery(request: Request, caller: MayAdministerSome) -> Response:
    """Makes an empty gallery for vectors of the model that serves."""
    body = await receive_json(request, GalleryBody)
    check_gallery_name(body.name)
    caller.require("admin", body.name)
    running = caller.running
    model = running.holder.current
    settings = GallerySettings.for_model(model.card, model.sha256, **body.model_dump(exclude={"name"}))

    def work() -> GalleryInfo:
        info = running.engine.create(body.name, settings)
        running.recorder.written(caller, "create gallery", body.name, body.model_dump(exclude_defaults=True))
        return info

    info = await running.writes.run(work)
    caller.service.forget(body.name)
    return reply(view(info), 201, {"Location": f"/v1/galleries/{body.name}"})


@router.get(
    "/galleries/{gallery}",
    operation_id="get_gallery",
    summary="A gallery",
    responses={200: {"model": GalleryDetail}, **problems()},
)
async def get_gallery(gallery: GalleryName, caller: MayLook) -> Response:
    """What it holds, of which model, how it is searched, and what scores mean in it."""
    info = await caller.running.searches.run(lambda: caller.running.engine.info(gallery))
    verdicts = verdicts_of(caller.running.holder.current, [], info.settings.model_sha256)
    return reply(view(info) | {"calibration": verdicts.thresholds, "no_verdict_because": verdicts.reason})


@router.delete(
    "/galleries/{gallery}",
    operation_id="drop_gallery",
    summary="Drop a gallery",
    status_code=204,
    response_class=Response,
    responses={204: answer("It is gone; its snapshots stay."), **problems(507)},
)
async def drop_gallery(gallery: GalleryName, caller: MayAdminister) -> Response:
    """Removes a gallery with all it holds. Its snapshots stay until they are removed."""
    running = caller.running

    def work() -> None:
        running.engine.drop(gallery)
        caller.service.forget(gallery)
        running.recorder.written(caller, "drop gallery", gallery)

    await running.writes.run(work)
    return Response(status_code=204)


@router.post(
    "/galleries/{gallery}/compact",
    operation_id="compact_gallery",
    summary="Purge what was deleted",
    status_code=202,
    responses=JOB_ANSWER,
)
async def compact_gallery(gallery: GalleryName, caller: MayAdminister) -> Response:
    """Leaves nothing on disk of what was deleted, neither in the gallery nor in its snapshots; the result proves it."""
    await caller.service.settings_of(gallery)
    running = caller.running

    def work() -> dict[str, Any]:
        receipt = running.engine.compact(gallery)
        running.recorder.written(caller, "compact", gallery, {"purged": receipt.purged})
        return asdict(receipt) | {"at": moment(receipt.at)}

    return await take_in(caller, "compact", gallery, work)


@router.post(
    "/galleries/{gallery}/verify",
    operation_id="verify_gallery",
    summary="Check a gallery",
    status_code=202,
    responses=JOB_ANSWER,
)
async def verify_gallery(gallery: GalleryName, caller: MayAdminister) -> Response:
    """Compares everything that is kept of a gallery with everything else."""
    await caller.service.settings_of(gallery)
    running = caller.running

    def work() -> dict[str, Any]:
        report = running.engine.verify(gallery)
        return asdict(report) | {"sound": report.sound}

    return await take_in(caller, "verify", gallery, work)


def view(info: GalleryInfo) -> dict[str, Any]:
    settings = info.settings
    return {
        "name": info.name,
        "count": info.count,
        "dimension": settings.dimension,
        "metric": "cosine",
        "model_name": settings.model_name,
        "model_sha256": settings.model_sha256,
        "settings": settings.model_dump(exclude={"model_name", "model_sha256", "dimension"}),
        "created_at": moment(info.created_at),
        "index_version": info.change,
        "index": asdict(info.index),
        "saved_at": moment(info.saved_at),
        "unsaved": info.unsaved,
        "pending_purge": info.pending_purge,
        "disk_bytes": info.disk_bytes,
    }
