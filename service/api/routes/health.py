"""Whether the service lives and is ready, what it is, and what it has counted: for machines that watch it."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from service.api.documents import problems
from service.api.problems import MEDIA_TYPE
from service.api.replies import reply
from service.api.service import Service

router = APIRouter(tags=["service"])
VERSION = version("vantage-reid")
_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {
        "description": "`not-ready` with the reason, or `shutting-down`",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
    **{status: described for status, described in problems().items() if status in (405, 413)},
}


class Status(BaseModel):
    """That it is so."""

    status: str


class ModelVersion(BaseModel):
    """The model, and what runs it."""

    name: str
    version: str
    sha256: str
    precision: str
    provider: str
    device: str
    fallback_reason: str | None


class VersionAnswer(BaseModel):
    """What this is, and what runs."""

    version: str
    state: str
    model: ModelVersion | None


@router.get(
    "/livez",
    operation_id="livez",
    summary="Whether the process answers",
    responses={200: {"model": Status}, **_NOT_READY},
)
async def livez() -> Response:
    """At once, whatever else is the case."""
    return reply({"status": "alive"})


@router.get(
    "/startupz",
    operation_id="startupz",
    summary="Whether it has started",
    responses={200: {"model": Status}, **_NOT_READY},
)
async def startupz(request: Request) -> Response:
    """From then on it stays so, until it stops."""
    return _ready(request, "started")


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Whether it answers requests",
    responses={200: {"model": Status}, **_NOT_READY},
)
async def readyz(request: Request) -> Response:
    """200 when the model is warm on the provider that was asked for, all galleries are loaded and checked or can be
    reached, keys can be read, and what is done can be recorded."""
    service: Service = request.app.state.service
    running = service.running
    running.keys.has_keys  # noqa: B018 - raises keys-unavailable with the reason
    if running.recorder.failing:  # asked for again, because nobody else may ask who would
        await asyncio.to_thread(running.recorder.check)
    if service.settings.gallery != "embedded":
        await asyncio.to_thread(running.reachable)
    return _ready(request, "ready")


@router.get(
    "/version", operation_id="version", summary="What runs", responses={200: {"model": VersionAnswer}, **_NOT_READY}
)
async def what_runs(request: Request) -> Response:
    """The provider that ran the model, not the one that is installed."""
    service: Service = request.app.state.service
    model = None
    if service.state == "ready":
        served = service.running.holder.current
        model = {
            "name": served.name,
            "version": served.card.version,
            "sha256": served.sha256,
            "precision": served.session.precision,
            "provider": served.provider,
            "device": service.settings.device,
            "fallback_reason": served.session.fallback_reason,
        }
    return reply({"version": VERSION, "state": service.state, "model": model})


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="What was counted, for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **_NOT_READY},
)
async def metrics(request: Request) -> Response:
    """No label names a person, an item or a key."""
    service: Service = request.app.state.service
    text = await asyncio.to_thread(service.metrics.text)
    return Response(text, media_type="text/plain; version=1.0.0; charset=utf-8; escaping=underscores")


def _ready(request: Request, word: str) -> Response:
    service: Service = request.app.state.service
    service.running  # noqa: B018 - raises not-ready with the reason
    return reply({"status": word})
