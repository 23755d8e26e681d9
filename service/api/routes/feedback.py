"""What people said of results: this is the person, or is not."""

from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from service.api.access import MaySearch
from service.api.addresses import FromAddress, parameters
from service.api.bodies import receive_json
from service.api.documents import answer, json_body, problems
from service.api.fields import Body, GalleryName, Label
from service.api.problems import Problem
from service.api.replies import reply
from service.gallery import Feedback
from service.gallery.searching import Verdict

router = APIRouter(prefix="/v1", tags=["feedback"])
_PROBES = ("probe_item_id", "probe_sha256")


class FeedbackBody(Body):
    """An item, what it was compared with, and what was said: exactly one of probe_item_id and probe_sha256."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [name]} for name in _PROBES]})

    item_id: Label
    verdict: Verdict = Field(
        description="Whether both show the same person; `different` keeps the item out from now on."
    )
    probe_item_id: Label | None = Field(default=None, description="The item that was looked for.")
    probe_sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="The crop that was looked for: query.sha256 of the search."
    )

    @model_validator(mode="after")
    def _one_probe(self) -> Self:
        if (self.probe_item_id is None) == (self.probe_sha256 is None):
            raise ValueError("give exactly one of probe_item_id and probe_sha256")
        return self

    def feedback(self) -> Feedback:
        return Feedback(
            item=self.item_id, verdict=self.verdict, probe_item=self.probe_item_id, probe_name=self.probe_sha256
        )


class FeedbackQuery(BaseModel):
    """Which pair to forget: exactly one of probe_item_id and probe_sha256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    item_id: Label
    probe_item_id: Label | None = None
    probe_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")


class FeedbackList(BaseModel):
    """All that was said, in the order of the items."""

    feedback: list[dict[str, Any]]


@router.post(
    "/galleries/{gallery}/feedback",
    operation_id="give_feedback",
    summary="Say who it is not, or is",
    status_code=204,
    response_class=Response,
    responses={204: answer("It is remembered."), **problems(507)},
    openapi_extra=json_body(
        FeedbackBody,
        {"not this person": {"item_id": "cam1/0007.jpg", "verdict": "different", "probe_item_id": "cam2/0009.jpg"}},
    ),
)
async def give_feedback(request: Request, gallery: GalleryName, caller: MaySearch) -> Response:
    """Remembers it for every search to come, without training anything. The last word on a pair counts."""
    body = await receive_json(request, FeedbackBody)
    feedback, running = body.feedback(), caller.running

    def work() -> None:
        running.engine.add_feedback(gallery, [feedback])
        running.recorder.written(caller, "feedback", gallery, _told(feedback), [feedback.item])

    await running.writes.run(work)
    return Response(status_code=204)


@router.get(
    "/galleries/{gallery}/feedback",
    operation_id="list_feedback",
    summary="What was said",
    responses={200: {"model": FeedbackList}, **problems()},
)
async def list_feedback(gallery: GalleryName, caller: MaySearch) -> Response:
    """All pairs, and what was said of each."""
    found = await caller.running.searches.run(lambda: caller.running.engine.feedback(gallery))
    return reply({"feedback": [{"item_id": one.item} | _told(one) for one in found]})


@router.delete(
    "/galleries/{gallery}/feedback",
    operation_id="withdraw_feedback",
    summary="Take it back",
    status_code=204,
    response_class=Response,
    responses={204: answer("It is forgotten."), **problems(507)},
    openapi_extra=parameters(FeedbackQuery),
)
async def withdraw_feedback(
    gallery: GalleryName, caller: MaySearch, query: Annotated[FeedbackQuery, Depends(FromAddress(FeedbackQuery))]
) -> Response:
    """Forgets what was said of a pair."""
    pair = Feedback(item=query.item_id, verdict="same", probe_item=query.probe_item_id, probe_name=query.probe_sha256)
    running = caller.running

    def work() -> int:
        count = running.engine.withdraw_feedback(gallery, [pair])
        if count:
            running.recorder.written(caller, "withdraw feedback", gallery, _told(pair), [pair.item])
        return count

    if not await running.writes.run(work):
        raise Problem("no-such-item", f"nothing was said of {query.item_id!r} and that probe")
    return Response(status_code=204)


def _told(feedback: Feedback) -> dict[str, Any]:
    return {
        "verdict": feedback.verdict,
        "probe_item_id": feedback.probe_item,
        "probe_sha256": feedback.probe_name,
    }
