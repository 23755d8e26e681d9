"""Copies of galleries as they were at one instant."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from service.api.access import Caller, MayAdminister
from service.api.answers import moment
from service.api.bodies import receive_json
from service.api.documents import answer, json_body, problems
from service.api.fields import Body, GalleryName, SnapshotName
from service.api.replies import reply
from service.api.routes.galleries import view
from service.api.routes.jobs import JOB_ANSWER, take_in
from service.gallery import NoSuchSnapshotError, SnapshotInfo, check_gallery_name

router = APIRouter(prefix="/v1", tags=["snapshots"])


class SnapshotView(BaseModel):
    """A snapshot."""

    name: str
    gallery: str
    at: str
    index_version: int
    count: int
    bytes: int


class SnapshotList(BaseModel):
    """A gallery's snapshots."""

    snapshots: list[SnapshotView]


class RestoreBody(Body):
    """Where to restore to."""

    name: str | None = Field(default=None, description="Another name for the gallery; left out: its own.")
    replace: bool = Field(default=False, description="Whether it takes the place of the gallery there.")


@router.post(
    "/galleries/{gallery}/snapshots",
    operation_id="take_snapshot",
    summary="Take a snapshot",
    status_code=202,
    responses=JOB_ANSWER,
)
async def take_snapshot(gallery: GalleryName, caller: MayAdminister) -> Response:
    """Copies the gallery as it is now; writing and searching go on."""
    await caller.service.settings_of(gallery)
    running = caller.running

    def work() -> dict[str, Any]:
        info = running.engine.snapshot(gallery)
        running.recorder.written(caller, "snapshot", gallery, {"snapshot": info.name})
        return _view(info)

    return await take_in(caller, "snapshot", gallery, work)


@router.get(
    "/galleries/{gallery}/snapshots",
    operation_id="list_snapshots",
    summary="A gallery's snapshots",
    responses={200: {"model": SnapshotList}, **problems()},
)
async def list_snapshots(gallery: GalleryName, caller: MayAdminister) -> Response:
    """Also those of a gallery that was dropped."""
    check_gallery_name(gallery)
    found = await caller.running.searches.run(lambda: caller.running.engine.snapshots(gallery))
    return reply({"snapshots": [_view(info) for info in found]})


@router.post(
    "/galleries/{gallery}/snapshots/{snapshot}:restore",
    operation_id="restore_snapshot",
    summary="Restore a snapshot",
    status_code=202,
    responses={**JOB_ANSWER, **problems(409)},
    openapi_extra=json_body(
        RestoreBody, {"beside it": {"name": "entrance-before"}, "instead of it": {"replace": True}}
    ),
)
async def restore_snapshot(
    request: Request, gallery: GalleryName, snapshot: SnapshotName, caller: MayAdminister
) -> Response:
    """The gallery of a snapshot, under its own name or another."""
    body = await receive_json(request, RestoreBody)
    to = gallery if body.name is None else check_gallery_name(body.name)
    caller.require("admin", to)
    await _require(caller, gallery, snapshot)
    running = caller.running

    def work() -> dict[str, Any]:
        try:
            info = running.engine.restore(snapshot, name=to, replace=body.replace)
        finally:
            caller.service.forget(to)
        running.recorder.written(caller, "restore", to, {"snapshot": snapshot, "replace": body.replace})
        return view(info)

    return await take_in(caller, "restore", to, work)


@router.delete(
    "/galleries/{gallery}/snapshots/{snapshot}",
    operation_id="delete_snapshot",
    summary="Delete a snapshot",
    status_code=204,
    response_class=Response,
    responses={204: answer("It is gone."), **problems()},
)
async def delete_snapshot(gallery: GalleryName, snapshot: SnapshotName, caller: MayAdminister) -> Response:
    """Removes it from the disk."""
    await _require(caller, gallery, snapshot)
    running = caller.running

    def work() -> None:
        running.engine.delete_snapshot(snapshot)
        running.recorder.written(caller, "delete snapshot", gallery, {"snapshot": snapshot})

    await running.writes.run(work)
    return Response(status_code=204)


async def _require(caller: Caller, gallery: str, snapshot: str) -> None:
    """A key for one gallery names no snapshots of others."""
    found = await caller.running.searches.run(lambda: caller.running.engine.snapshots(gallery))
    if snapshot not in {info.name for info in found}:
        there = ", ".join(info.name for info in found) or "none"
        raise NoSuchSnapshotError(f"there is no snapshot {snapshot!r} of gallery {gallery!r}; there are: {there}")


def _view(info: SnapshotInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "gallery": info.gallery,
        "at": moment(info.at),
        "index_version": info.change,
        "count": info.count,
        "bytes": info.bytes,
    }
