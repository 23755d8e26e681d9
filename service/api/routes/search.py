"""A crop in, ranked people out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from service.api.access import Caller, MaySearch
from service.api.addresses import FromAddress, parameters
from service.api.answers import SearchAnswer, search_answer
from service.api.bodies import parse, receive
from service.api.documents import answer, picture_body, problems
from service.api.fields import GalleryName
from service.api.in_time import DEADLINE
from service.api.probing import Looked, deadline_of, given_vector, look
from service.api.problems import Problem, invalid
from service.api.replies import encoded
from service.api.search_fields import SearchBody, SearchParameters, SearchQuery
from service.api.verdicts import verdicts_of
from service.embedding import DeadlineExceededError
from service.gallery import Answer, GallerySettings, Probe, require_model
from service.gallery.searching import MOST_CROPS

router = APIRouter(prefix="/v1", tags=["search"])

_EXAMPLES = {
    "an item of the gallery": {"item_id": "cam1/0007.jpg", "top_k": 5, "exclude_same_camera_within_s": 60},
    "a picture": {"image_b64": "/9j/4AAQSkZJRg...", "filter": {"camera_ids": ["c2", "c3"]}, "explain": True},
}
_ANSWERS = {
    200: {"model": SearchAnswer} | answer("Ranked, best first.", ["Server-Timing"]),
    **problems(409, 504),
}


@router.post(
    "/galleries/{gallery}/search",
    operation_id="search",
    summary="Who is this?",
    responses=_ANSWERS,
    openapi_extra=picture_body(SearchBody, SearchParameters, "params", _EXAMPLES) | parameters(SearchQuery),
)
async def search(
    request: Request,
    gallery: GalleryName,
    caller: MaySearch,
    query: Annotated[SearchQuery, Depends(FromAddress(SearchQuery))],
) -> Response:
    """Searches for one person: by a picture (a form's `image`, or the body itself), a vector, or an item.

    Parameters stand in a form's `params` as JSON, in the JSON, or in the address.
    """
    pictures, asked = await _asked(request, query)
    if len(pictures) > 1:
        raise invalid([("part image", f"there are {len(pictures)}: send several of one tracklet to search:batch")])
    return await _search(request, gallery, caller, asked, pictures)


@router.post(
    "/galleries/{gallery}/search:batch",
    operation_id="search_tracklet",
    summary="Who is this, seen several times?",
    responses=_ANSWERS,
    openapi_extra=picture_body(
        SearchBody,
        SearchParameters,
        "params",
        {"two crops": {"images_b64": ["/9j/4AAQ...", "/9j/4AAQ..."]}},
        several=True,
    )
    | parameters(SearchQuery),
)
async def search_tracklet(
    request: Request,
    gallery: GalleryName,
    caller: MaySearch,
    query: Annotated[SearchQuery, Depends(FromAddress(SearchQuery))],
) -> Response:
    """Searches for one person by several crops of one tracklet, which are fused into one probe."""
    pictures, asked = await _asked(request, query)
    if not pictures:
        raise invalid([("body images_b64", "this is wanted and not there: give the crops of one tracklet")])
    if len(pictures) > MOST_CROPS:
        raise invalid([("part image", f"there are {len(pictures)}: at most {MOST_CROPS} are fused")])
    return await _search(request, gallery, caller, asked, pictures)


async def _asked(request: Request, query: SearchQuery) -> tuple[Sequence[bytes], SearchParameters]:
    """Pictures, if that is what is searched for, and how to search."""
    received = await receive(request, "params")
    asked: SearchParameters
    if received.pictures:
        document = received.document
        asked = SearchParameters() if document is None else parse(SearchParameters, document, "part params")
        pictures = received.pictures
    else:
        asked = body = parse(SearchBody, received.document or b"")
        with_pictures = body.model_fields_set & {"image_b64", "images_b64"}
        pictures = body.images if with_pictures else ()
        if with_pictures and not pictures:
            raise invalid([("body images_b64", "this is empty: give one crop or more")])
    said = query.over(asked)
    return pictures, asked.model_copy(update=said) if said else asked


async def _search(
    request: Request, gallery: str, caller: Caller, asked: SearchParameters, pictures: Sequence[bytes]
) -> Response:
    service, running = caller.service, caller.running
    _check_limits(caller, asked)
    deadline = deadline_of(caller, asked.deadline_ms)
    settings = await service.settings_of(gallery)
    looked: Looked | None = None
    if pictures:
        served = running.holder.current
        require_model(gallery, settings, served.name, served.sha256)
        looked = await look(request, caller, pictures, deadline)
        require_model(gallery, settings, looked.model.name, looked.model.sha256)
    probe = _probe(gallery, settings, asked, looked)
    model = running.holder.current if looked is None else looked.model
    wanted = asked.search(probe)

    def work() -> tuple[Answer, dict[str, float]]:
        found = running.in_time.search(gallery, wanted, settings.rerank, deadline)
        running.recorder.searched(caller, gallery, _told(asked, probe, looked), [hit.item.id for hit in found.hits])
        return found, {} if looked is None else dict(looked.seconds)

    found, seconds = await running.searches.run(work, deadline)
    seconds |= {
        "search": found.seconds.get("prepare", 0.0) + found.seconds.get("search", 0.0),
        "rerank": found.seconds.get("rerank", 0.0),
        "fetch": found.seconds.get("fetch", 0.0),
    }
    verdicts = verdicts_of(model, [hit.score for hit in found.hits], settings.model_sha256)
    content = search_answer(
        found,
        verdicts,
        head={
            "request_id": caller.request_id,
            "model": {"name": model.name, "sha256": model.sha256, "provider": model.provider},
        },
        query=_query(asked, probe, looked),
        include=asked.include,
    )
    seconds["total"] = time.monotonic() - caller.started
    if caller.started + seconds["total"] > deadline:
        raise DeadlineExceededError("the deadline passed before the answer was ready: allow more time")
    content["timings_ms"] = {stage: round(1000 * value, 3) for stage, value in seconds.items()}
    _count(caller, found, seconds)
    body = encoded(content)
    seconds["serialize"] = time.monotonic() - caller.started - seconds["total"]
    caller.service.metrics.stage("serialize", seconds["serialize"])
    timing = ", ".join(f"{stage};dur={1000 * value:.2f}" for stage, value in seconds.items())
    return Response(body, headers={"Server-Timing": timing}, media_type="application/json")


def _check_limits(caller: Caller, asked: SearchParameters) -> None:
    most = caller.service.settings.max_top_k
    if asked.top_k > most:
        raise invalid([("top_k", f"{asked.top_k} results are more than the {most} that may be asked for here")])


def _probe(gallery: str, settings: GallerySettings, asked: SearchParameters, looked: Looked | None) -> Probe:
    camera, captured_at = asked.probe_camera_id, asked.probe_captured_at
    if looked is not None:
        return Probe(vectors=looked.vectors, name=looked.sha256, camera=camera, captured_at=captured_at)
    if not isinstance(asked, SearchBody):
        raise Problem("internal-error", "a search without a probe")
    if asked.item_id is not None:
        if camera is not None or captured_at is not None:
            raise invalid([("body item_id", "an item brings its own camera and time: leave those of the probe out")])
        return Probe(item=asked.item_id)
    vector = given_vector(gallery, settings, asked.embedding, asked.model_sha256)
    return Probe(vectors=vector[np.newaxis], camera=camera, captured_at=captured_at)


def _told(asked: SearchParameters, probe: Probe, looked: Looked | None) -> dict[str, Any]:
    """What the audit log is told of the question: neither a picture nor a vector."""
    told = asked.model_dump(
        mode="json", exclude_defaults=True, exclude={"image_b64", "images_b64", "embedding", "include", "deadline_ms"}
    )
    told["probe"] = "item" if probe.item is not None else "embedding" if looked is None else "picture"
    if looked is not None:
        told["probe_sha256"] = looked.sha256
    return told


def _query(asked: SearchParameters, probe: Probe, looked: Looked | None) -> dict[str, Any]:
    query: dict[str, Any] = {"item_id": probe.item, "crops": 0, "sha256": None}
    query |= {"width": None, "height": None, "viewpoint": None}
    if looked is not None:
        query |= {"crops": len(looked.decoded), "sha256": looked.sha256}
        if len(looked.decoded) == 1:
            query |= {"width": looked.decoded[0].width, "height": looked.decoded[0].height}
        if looked.viewpoints is not None:
            query["viewpoint"] = np.mean(looked.viewpoints, axis=0).tolist()
    return query


def _count(caller: Caller, found: Answer, seconds: dict[str, float]) -> None:
    metrics, done = caller.service.metrics, found.reranking
    metrics.stage("search", seconds["search"])
    metrics.stage("rerank", seconds["rerank"])
    skipped = None
    if done.reason_skipped is not None:
        skipped = DEADLINE if done.reason_skipped == DEADLINE else "no-graph"
    metrics.searched(skipped, underfilled=len(found.hits) < found.requested)
