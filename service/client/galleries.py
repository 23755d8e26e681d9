"""Calls on the service, on galleries, their snapshots and jobs, and feedback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from service.client.answers import Feedback, Gallery, Job, Readiness, RerankMode, Snapshot, Version
from service.client.calls import JSON, Call, Reply, given, json_as, json_bytes, nothing, path_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Galleries:
    galleries: tuple[Gallery, ...]


@dataclass(frozen=True, slots=True)
class _FeedbackList:
    feedback: tuple[Feedback, ...]


@dataclass(frozen=True, slots=True)
class _Snapshots:
    snapshots: tuple[Snapshot, ...]


@dataclass(frozen=True, slots=True)
class _Jobs:
    jobs: tuple[Job, ...]


def readyz() -> Call[Readiness]:
    return _get("/readyz", lambda reply: Readiness(ready=True))


def version() -> Call[Version]:
    """What runs: the service, its model, and what runs that."""
    return _get("/version", json_as(Version))


def galleries() -> Call[tuple[Gallery, ...]]:
    """The galleries that the key may search."""
    return _get(path_of("galleries"), _part(_Galleries, lambda answer: answer.galleries))


def gallery(name: str) -> Call[Gallery]:
    """What it holds, of which model, how it is searched, and what scores mean in it."""
    return _get(path_of("galleries", name), json_as(Gallery))


def create(
    name: str,
    *,
    store_crops: bool | None = None,
    index: Literal["auto", "flat", "half", "signs", "hnsw", "ivf", "gpu"] | None = None,
    rerank: RerankMode | None = None,
    k1: int | None = None,
    k2: int | None = None,
    lam: float | None = None,
    ttl_seconds: int | None = None,
    deny_erased: bool | None = None,
) -> Call[Gallery]:
    """Makes an empty gallery for vectors of the model that serves; ConflictError if there is one of that name."""
    body = given(
        name=name,
        store_crops=store_crops,
        index=index,
        rerank=rerank,
        k1=k1,
        k2=k2,
        lam=lam,
        ttl_seconds=ttl_seconds,
        deny_erased=deny_erased,
    )
    return _post(path_of("galleries"), body, json_as(Gallery))


def drop(gallery: str) -> Call[None]:
    """Removes a gallery with all that it holds; its snapshots stay."""
    return Call(method="DELETE", path=path_of("galleries", gallery), read=nothing, repeatable=False)


def compact(gallery: str) -> Call[Job]:
    """Leaves nothing on disk of what was deleted; `wait` for the job, whose result is the proof."""
    return _post(path_of("galleries", gallery, "compact"), None, json_as(Job))


def verify(gallery: str) -> Call[Job]:
    """Compares everything that is kept of a gallery with everything else; `wait` for the job."""
    return _post(path_of("galleries", gallery, "verify"), None, json_as(Job))


def take_snapshot(gallery: str) -> Call[Job]:
    """Copies the gallery as it is now; `wait` for the job, whose result names the snapshot."""
    return _post(path_of("galleries", gallery, "snapshots"), None, json_as(Job))


def snapshots(gallery: str) -> Call[tuple[Snapshot, ...]]:
    """Also those of a gallery that was dropped."""
    return _get(path_of("galleries", gallery, "snapshots"), _part(_Snapshots, lambda answer: answer.snapshots))


def restore(gallery: str, snapshot: str, *, name: str | None = None, replace: bool | None = None) -> Call[Job]:
    """The gallery of a snapshot, under its own name or another. replace: it takes the place of the gallery there."""
    path = path_of("galleries", gallery, "snapshots", snapshot, action=":restore")
    return _post(path, given(name=name, replace=replace), json_as(Job))


def delete_snapshot(gallery: str, snapshot: str) -> Call[None]:
    """Removes it from the disk."""
    path = path_of("galleries", gallery, "snapshots", snapshot)
    return Call(method="DELETE", path=path, read=nothing, repeatable=False)


def job(id: str) -> Call[Job]:
    """How far it is, and what came of it. Jobs are forgotten when the service ends."""
    return _get(path_of("jobs", id), json_as(Job))


def jobs() -> Call[tuple[Job, ...]]:
    """Since the service was started, the latest first."""
    return _get(path_of("jobs"), _part(_Jobs, lambda answer: answer.jobs))


def give_feedback(
    gallery: str,
    item_id: str,
    verdict: Literal["same", "different"],
    *,
    probe_item_id: str | None = None,
    probe_sha256: str | None = None,
) -> Call[None]:
    """Says whether an item shows the person that was looked for: on an item, or on a crop (a search's `query.sha256`).
    Every search to come keeps out what is different. The last word on a pair counts."""
    body = given(item_id=item_id, verdict=verdict, probe_item_id=probe_item_id, probe_sha256=probe_sha256)
    return _post(path_of("galleries", gallery, "feedback"), body, nothing, repeatable=True)


def withdraw_feedback(
    gallery: str, item_id: str, *, probe_item_id: str | None = None, probe_sha256: str | None = None
) -> Call[None]:
    """Forgets what was said of a pair; NotFoundError if nothing was."""
    asked = given(item_id=item_id, probe_item_id=probe_item_id, probe_sha256=probe_sha256)
    return Call(
        method="DELETE",
        path=path_of("galleries", gallery, "feedback"),
        read=nothing,
        repeatable=False,
        parameters=tuple(asked.items()),
    )


def feedback(gallery: str) -> Call[tuple[Feedback, ...]]:
    """All pairs, and what was said of each."""
    return _get(path_of("galleries", gallery, "feedback"), _part(_FeedbackList, lambda answer: answer.feedback))


def _get(path: str, read: Callable[[Reply], T]) -> Call[T]:
    return Call(method="GET", path=path, read=read, repeatable=True)


def _post(path: str, body: Any, read: Callable[[Reply], T], *, repeatable: bool = False) -> Call[T]:
    if body is None:
        return Call(method="POST", path=path, read=read, repeatable=repeatable)
    content = json_bytes(body)
    return Call(method="POST", path=path, read=read, repeatable=repeatable, body=content, content_type=JSON)


Whole = TypeVar("Whole")


def _part(kind: type[Whole], part: Callable[[Whole], T]) -> Callable[[Reply], T]:
    read = json_as(kind)
    return lambda reply: part(read(reply))
