"""What a gallery holds, by camera, time and viewpoint."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from starlette.responses import Response

from service.api.access import MayLook
from service.api.addresses import FromAddress, parameters
from service.api.answers import moment
from service.api.documents import problems
from service.api.fields import GalleryName
from service.api.filter_fields import FilterQuery
from service.api.replies import reply
from service.gallery import EVERYTHING, GallerySummary
from service.gallery.reports import MOST_CAMERAS, MOST_SPANS

router = APIRouter(prefix="/v1", tags=["galleries"])


class CameraCount(BaseModel):
    """A camera, and how many items it saw."""

    camera_id: str
    count: int


class CameraCounts(BaseModel):
    """Who saw the items."""

    largest: list[CameraCount] = Field(description=f"Most items first, and then by name: at most {MOST_CAMERAS}.")
    others: int = Field(description="How many more cameras there are.")
    others_count: int = Field(description="How many items those saw.")
    unknown: int = Field(description="Items that do not say who saw them.")


class SpanCount(BaseModel):
    """A span of time that begins there, and how many items were captured in it."""

    start: datetime
    count: int


class TimeCounts(BaseModel):
    """When the items were captured."""

    first: datetime | None
    last: datetime | None
    unit: Literal["hour", "day", "month", "year"] = Field(
        description="How long a span is, in UTC: the smallest of which from the first to the last there are at most "
        + ", ".join(f"{most} ({unit})" for unit, most in MOST_SPANS.items())
        + "."
    )
    spans: list[SpanCount] = Field(description="In their order; one in which nothing was captured is left out.")
    unknown: int = Field(description="Items that do not say when they were captured.")


class ViewpointCounts(BaseModel):
    """Where the items were most likely seen from."""

    front: int
    side: int
    back: int
    unknown: int = Field(description="Items that do not say it.")


class LabelCounts(BaseModel):
    """How many different ones are known, and how many items do not say theirs."""

    known: int
    unknown: int = Field(description="Items that do not say it.")


class SummaryAnswer(BaseModel):
    """What a gallery holds, or what of it meets the conditions."""

    gallery: str
    count: int
    cameras: CameraCounts
    captured: TimeCounts
    viewpoints: ViewpointCounts
    persons: LabelCounts
    tracklets: LabelCounts


@router.get(
    "/galleries/{gallery}/summary",
    operation_id="summarise_gallery",
    summary="What a gallery holds",
    responses={200: {"model": SummaryAnswer}, **problems()},
    openapi_extra=parameters(FilterQuery),
)
async def summarise_gallery(
    gallery: GalleryName, caller: MayLook, query: Annotated[FilterQuery, Depends(FromAddress(FilterQuery))]
) -> Response:
    """Counts the items that meet all conditions. What has expired is not counted."""
    body = query.body()
    filter = EVERYTHING if body is None else body.filter()
    return reply(_view(await caller.running.searches.run(lambda: caller.running.engine.summary(gallery, filter))))


def _view(summary: GallerySummary) -> dict[str, Any]:
    return {
        "gallery": summary.gallery,
        "count": summary.count,
        "cameras": {
            "largest": [{"camera_id": camera, "count": count} for camera, count in summary.cameras],
            "others": summary.other_cameras,
            "others_count": summary.other_camera_items,
            "unknown": summary.without_camera,
        },
        "captured": {
            "first": moment(summary.first),
            "last": moment(summary.last),
            "unit": summary.unit,
            "spans": [{"start": moment(start), "count": count} for start, count in summary.times],
            "unknown": summary.without_time,
        },
        "viewpoints": {**summary.viewpoints, "unknown": summary.without_viewpoint},
        "persons": {"known": summary.persons, "unknown": summary.without_person},
        "tracklets": {"known": summary.tracklets, "unknown": summary.without_tracklet},
    }
