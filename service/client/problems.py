"""A reply that is no answer, as an error."""

from __future__ import annotations

import json
import math
from typing import Any

from service.client.calls import Call, Reply
from service.client.errors import ERROR_OF_STATUS, ServiceError

_PROBLEM = "application/problem+json"


def is_problem(reply: Reply) -> bool:
    """Whether the service itself says it, and not something that stands before it."""
    return reply.headers.get("content-type", "").partition(";")[0].strip().lower() == _PROBLEM


def error_of(address: str, call: Call[Any], reply: Reply) -> ServiceError:
    kind = ERROR_OF_STATUS.get(reply.status, ServiceError)
    told = _told(reply)
    wait = retry_after(reply)
    if told is None:
        return kind(
            f"{address} answers {call.method} {call.path} with status {reply.status}, and not as this service does"
            f"{_moved(reply)}: is the address right, with its prefix where there is one?",
            status=reply.status,
            retry_after=wait,
        )
    return kind(
        str(told.get("detail") or told.get("title") or f"status {reply.status}"),
        type=str(told["type"]) if "type" in told else None,
        status=reply.status,
        request_id=str(told["request_id"]) if "request_id" in told else None,
        retry_after=wait,
    )


def retry_after(reply: Reply) -> float | None:
    try:
        seconds = float(reply.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _told(reply: Reply) -> dict[str, Any] | None:
    if not is_problem(reply):
        return None
    try:
        told = json.loads(reply.content)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _moved(reply: Reply) -> str:
    to = reply.headers.get("location") if 300 <= reply.status < 400 else None
    return f" (it has moved to {to})" if to else ""
