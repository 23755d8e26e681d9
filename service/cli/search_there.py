"""A search that a running service makes, as `vantage search --server` shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from service.cli.crops import read_crop
from service.cli.found import Found, FoundItem, Reranked, Why

if TYPE_CHECKING:
    from PIL import Image

    from service.client import Client, SearchAnswer
    from service.gallery import Filter


def ask(
    client: Client,
    gallery: str,
    crops: Sequence[Path],
    item: str | None,
    *,
    k: int,
    rerank: Literal["off", "online", "local"] | None,
    filter: Filter,
    group_by: Literal["none", "person", "tracklet", "camera"],
    exact: bool,
    explain: bool,
) -> SearchAnswer:
    """By one crop, several of one walk past a camera, or an item."""
    from service.client import Filter as Conditions

    pictures = [read_crop(path) for path in crops]
    conditions = Conditions(
        camera_ids=filter.cameras,
        exclude_camera_ids=filter.not_cameras or None,
        time_from=filter.time_from,
        time_to=filter.time_to,
        persons=filter.persons,
        viewpoints=filter.viewpoints,
    )
    return client.search(
        gallery,
        image=pictures[0] if len(pictures) == 1 else None,
        images=pictures if len(pictures) > 1 else None,
        item=item,
        top_k=k,
        rerank=rerank,
        filter=None if filter.empty else conditions,
        group_by=group_by,
        exact=exact,
        explain=explain,
    )


def found_there(answer: SearchAnswer) -> Found:
    done = answer.rerank
    return Found(
        items=tuple(
            FoundItem(
                rank=hit.rank,
                id=hit.id,
                score=hit.score,
                reranked=hit.distance_reranked,
                verdict=hit.verdict,
                confirmed=hit.confirmed,
                camera=hit.camera_id,
                captured_at=hit.captured_at,
                person=hit.person,
                why=None
                if hit.explain is None
                else Why(mutual=hit.explain.mutual, shared=tuple((one.id, one.weight) for one in hit.explain.shared)),
            )
            for hit in answer.results
        ),
        requested=answer.requested,
        exhausted=answer.exhausted,
        exact=answer.exact,
        allowed=answer.filtered_candidates,
        hidden=answer.hidden,
        reranked=Reranked(mode=done.mode, k1=done.k1, k2=done.k2, lam=done.lam, stale=done.stale_neighbours)
        if done.applied
        else None,
        not_reranked=done.reason_skipped or "off",
        no_verdict_because=answer.no_verdict_because,
    )


def picture_there(client: Client, gallery: str, id: str) -> Image.Image | None:
    """The item's picture, if it is kept and can be read."""
    from service.client import NotFoundError
    from service.images import BadImageError, open_image

    try:
        return open_image(client.crop(gallery, id))
    except (NotFoundError, BadImageError):
        return None
