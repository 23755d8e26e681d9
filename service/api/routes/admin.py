"""What concerns the service as a whole."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from service.api.access import MayAdminister
from service.api.bodies import receive_json
from service.api.documents import json_body
from service.api.fields import Body
from service.api.routes.jobs import JOB_ANSWER, take_in
from service.api.starting import model_folder

router = APIRouter(prefix="/v1", tags=["service"])


class ReloadBody(Body):
    """Which model."""

    model: str | None = Field(
        default=None,
        min_length=1,
        description="A folder of the server, or the name of a model that comes with vantage.",
    )
    other_model: bool = Field(
        default=False,
        description="Whether it may be another model, with which the present galleries cannot be searched.",
    )


@router.post(
    "/admin/reload",
    operation_id="reload_model",
    summary="Load the model anew",
    status_code=202,
    responses=JOB_ANSWER,
    openapi_extra=json_body(ReloadBody, {"the same folder": {}, "another": {"model": "synthetic-tiny"}}),
)
async def reload_model(request: Request, caller: MayAdminister) -> Response:
    """Loads and proves a model beside the one that serves; a bad one changes nothing, and the job says why."""
    body = await receive_json(request, ReloadBody)
    running, service = caller.running, caller.service

    def work() -> dict[str, Any]:
        folder = None if body.model is None else model_folder(body.model)
        try:
            model = running.holder.reload(folder, other_model=body.other_model)
        except Exception:
            service.metrics.reloaded("failed")
            running.recorder.written(caller, "reload", None, body.model_dump(), outcome="reload-failed")
            raise
        service.metrics.reloaded("done")
        service.metrics.serves(model.sha256, model.provider, service.settings.device)
        running.recorder.written(caller, "reload", None, body.model_dump())
        return {"name": model.name, "sha256": model.sha256, "provider": model.provider}

    return await take_in(caller, "reload", None, work)
