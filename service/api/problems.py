"""What the service says when it does not do what was asked: `application/problem+json` (RFC 9457), always.

A problem's `type` is a short name that programs can rely on; its `detail` is a sentence that says what to do. Of an
unexpected error nothing is told but the request's id, under which the log has it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.access import (
    AuditError,
    DatabaseError,
    ForbiddenError,
    KeyStoreError,
    UnauthenticatedError,
    UnrecordedError,
)
from service.api.sentences import sentences
from service.embedding import (
    DeadlineExceededError,
    QueueFullError,
    ReloadError,
    ShuttingDownError,
    TooManyCropsError,
)
from service.gallery import (
    BadItemError,
    CorruptError,
    ExistsError,
    GalleryError,
    LockedError,
    ModelMismatchError,
    NoSuchGalleryError,
    NoSuchItemError,
    NoSuchSnapshotError,
    StorageFullError,
    UnavailableError,
)
from service.images import BadImageError

MEDIA_TYPE = "application/problem+json"
_MOST_ERRORS = 20


class Kind(NamedTuple):
    status: int
    title: str


KINDS: dict[str, Kind] = {
    "malformed-body": Kind(400, "The body cannot be read"),
    "unauthenticated": Kind(401, "A key is wanted"),
    "forbidden": Kind(403, "The key does not allow this"),
    "not-found": Kind(404, "There is nothing at this address"),
    "no-such-gallery": Kind(404, "There is no such gallery"),
    "no-such-item": Kind(404, "There is no such item"),
    "no-such-snapshot": Kind(404, "There is no such snapshot"),
    "no-such-job": Kind(404, "There is no such job"),
    "method-not-allowed": Kind(405, "This cannot be done with what is at this address"),
    "request-timeout": Kind(408, "The request came too slowly"),
    "exists": Kind(409, "There is something of that name already"),
    "model-mismatch": Kind(409, "Vectors of two models cannot be compared"),
    "dimension-mismatch": Kind(409, "The vector is of another length"),
    "erased-id": Kind(409, "An item of this id was erased for good"),
    "item-exists": Kind(412, "There is an item of that id already"),
    "body-too-large": Kind(413, "The body is too large"),
    "image-too-large": Kind(413, "The picture's file is too large"),
    "unsupported-media-type": Kind(415, "This kind of content is not taken"),
    "invalid-request": Kind(422, "The request cannot be right"),
    "undecodable-image": Kind(422, "The picture cannot be decoded"),
    "image-bomb": Kind(422, "The picture would be too large once decoded"),
    "reload-failed": Kind(422, "The new model does not serve"),
    "rate-limited": Kind(429, "This key asks too often"),
    "queue-full": Kind(429, "Too much is waiting"),
    "internal-error": Kind(500, "Something went wrong here"),
    "done-unrecorded": Kind(500, "It was done, and could not be recorded"),
    "not-ready": Kind(503, "The service is not ready"),
    "shutting-down": Kind(503, "The service is shutting down"),
    "index-corrupt": Kind(503, "The gallery is damaged"),
    "audit-unavailable": Kind(503, "What is done cannot be recorded"),
    "keys-unavailable": Kind(503, "The keys cannot be read"),
    "deadline-exceeded": Kind(504, "The deadline has passed"),
    "storage-full": Kind(507, "The disk is full"),
}

# The first that fits; subclasses stand before what they are subclasses of.
_KIND_OF: tuple[tuple[type[Exception], str], ...] = (
    (NoSuchGalleryError, "no-such-gallery"),
    (NoSuchItemError, "no-such-item"),
    (NoSuchSnapshotError, "no-such-snapshot"),
    (ExistsError, "exists"),
    (ModelMismatchError, "model-mismatch"),
    (BadItemError, "invalid-request"),
    (StorageFullError, "storage-full"),
    (CorruptError, "index-corrupt"),
    (LockedError, "not-ready"),
    (UnavailableError, "not-ready"),
    (GalleryError, "invalid-request"),
    (QueueFullError, "queue-full"),
    (TooManyCropsError, "invalid-request"),
    (DeadlineExceededError, "deadline-exceeded"),
    (ShuttingDownError, "shutting-down"),
    (ReloadError, "reload-failed"),
    (UnauthenticatedError, "unauthenticated"),
    (ForbiddenError, "forbidden"),
    (KeyStoreError, "keys-unavailable"),
    (DatabaseError, "not-ready"),
    (UnrecordedError, "done-unrecorded"),
    (AuditError, "audit-unavailable"),
)
_RETRY_SECONDS = {"not-ready": 1, "shutting-down": 5, "keys-unavailable": 5, "audit-unavailable": 5}


class ProblemError(BaseModel):
    """One of several things that are wrong."""

    where: str = Field(description="What of the request is meant.", examples=["query top_k"])
    message: str = Field(examples=["0 is less than 1"])


class ProblemBody(BaseModel):
    """What went wrong, after RFC 9457."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(description="A short name for programs: " + ", ".join(KINDS) + ".", examples=["queue-full"])
    title: str
    status: int = Field(examples=[429])
    detail: str = Field(description="A sentence that says what to do.")
    instance: str = Field(description="The path that was asked for.")
    request_id: str = Field(description="Under this id the log has more.")
    errors: list[ProblemError] = Field(description="Each single thing that is wrong, where there are several to tell.")


class Problem(Exception):  # noqa: N818 - it is called so in the standard
    """A problem of a known kind; raised anywhere, it becomes the answer."""

    def __init__(
        self,
        type: str,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.type = type
        self.detail = detail
        self.errors = tuple(errors)[:_MOST_ERRORS]
        self.headers = dict(headers or {})
        if type in _RETRY_SECONDS:
            self.headers.setdefault("Retry-After", str(_RETRY_SECONDS[type]))

    @property
    def status(self) -> int:
        return KINDS[self.type].status

    def members(self) -> dict[str, Any]:
        """As JSON, without what concerns the one request."""
        kind = KINDS[self.type]
        return {
            "type": self.type,
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail,
            "errors": [{"where": where, "message": message} for where, message in self.errors],
        }

    def response(self, instance: str, request_id: str) -> Response:
        body = self.members() | {"instance": instance, "request_id": request_id}
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        return Response(content, self.status, self.headers, MEDIA_TYPE)


def as_problem(error: Exception) -> Problem:
    """What an error is to whoever asked."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, BadImageError):
        return Problem(error.kind, str(error))
    if isinstance(error, ValidationError | RequestValidationError):
        return invalid(sentences(error))
    if isinstance(error, HTTPException):
        return _of_status(error)
    for kind, type in _KIND_OF:
        if isinstance(error, kind):
            headers = {}
            if isinstance(error, QueueFullError):
                headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
            if type == "unauthenticated":
                headers["WWW-Authenticate"] = 'Bearer realm="vantage"'
            return Problem(type, str(error), headers=headers)
    return Problem(
        "internal-error", "this is a fault of the service: tell its operator the request_id, under which the log has it"
    )


def invalid(errors: Sequence[tuple[str, str]]) -> Problem:
    """A request in which these places are wrong."""
    first = "; ".join(f"{where}: {message}" for where, message in errors[:3])
    more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
    return Problem("invalid-request", f"{first}{more}", errors=errors)


def _of_status(error: HTTPException) -> Problem:
    headers = dict(error.headers or {})
    if error.status_code == 404:
        return Problem("not-found", "there is nothing at this address: /docs lists what there is", headers=headers)
    if error.status_code == 405:
        allowed = headers.get("Allow", "")
        return Problem("method-not-allowed", f"here is allowed: {allowed}", headers=headers)
    return Problem("malformed-body", str(error.detail), headers=headers)
