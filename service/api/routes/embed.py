"""A crop's vector, and nothing else."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from service.api.access import MayEmbed
from service.api.addresses import FromAddress, parameters
from service.api.answers import ServedModelBody
from service.api.bodies import parse, receive
from service.api.documents import answer, picture_body, problems
from service.api.fields import Base64, Body, Milliseconds
from service.api.probing import deadline_of, look
from service.api.problems import invalid
from service.api.replies import reply

router = APIRouter(prefix="/v1", tags=["search"])


class EmbedParameters(Body):
    """How to embed."""

    deadline_ms: Milliseconds | None = None


class EmbedBody(EmbedParameters):
    """A picture to embed, in JSON."""

    image_b64: Base64


class EmbedQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    deadline_ms: Milliseconds | None = None


class EmbedAnswer(BaseModel):
    """A crop, embedded."""

    request_id: str
    model: ServedModelBody
    embedding: list[float] = Field(description="Of unit length.")
    viewpoint: list[float] | None = Field(description="Front, side and back; null where the model does not tell.")
    sha256: str
    width: int
    height: int


@router.post(
    "/embed",
    operation_id="embed",
    summary="The vector of a crop",
    responses={200: {"model": EmbedAnswer} | answer("The vector.", ["Server-Timing"]), **problems(504)},
    openapi_extra=picture_body(EmbedBody, EmbedParameters, "params", {"a picture": {"image_b64": "/9j/4AAQ..."}})
    | parameters(EmbedQuery),
)
async def embed(
    request: Request, caller: MayEmbed, query: Annotated[EmbedQuery, Depends(FromAddress(EmbedQuery))]
) -> Response:
    """Embeds one picture; nothing is searched or kept."""
    received = await receive(request, "params")
    milliseconds = query.deadline_ms
    if received.pictures:
        if len(received.pictures) > 1:
            raise invalid([("part image", f"there are {len(received.pictures)}: send one")])
        picture = received.pictures[0]
        if received.document is not None:
            milliseconds = parse(EmbedParameters, received.document, "part params").deadline_ms or milliseconds
    else:
        body = parse(EmbedBody, received.document or b"")
        picture, milliseconds = body.image_b64, body.deadline_ms or milliseconds
    looked = await look(request, caller, [picture], deadline_of(caller, milliseconds))
    model, decoded = looked.model, looked.decoded[0]
    content = {
        "request_id": caller.request_id,
        "model": {"name": model.name, "sha256": model.sha256, "provider": model.provider},
        "embedding": looked.vectors[0].tolist(),
        "viewpoint": None if looked.viewpoints is None else list(looked.viewpoints[0]),
        "sha256": looked.sha256,
        "width": decoded.width,
        "height": decoded.height,
    }
    timing = ", ".join(f"{stage};dur={1000 * value:.2f}" for stage, value in looked.seconds.items())
    return reply(content, headers={"Server-Timing": timing})
