"""Each request bears an id, is counted and timed, leaves one line in the log, and gets an answer whatever happens.

The line is JSON. It holds the route and never the path, in which ids of people stand; it holds no header but the
request's id, and nothing of a body.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.client_gone import ClientGoneError
from service.api.metrics import Metrics
from service.api.problems import as_problem

log = logging.getLogger("vantage.access")
failures = logging.getLogger("vantage.failures")

_SANE = re.compile(rb"[A-Za-z0-9._:+/=-]{1,128}")
_WATCHED = ("/livez", "/readyz", "/metrics")
GONE = 499
"""What is logged as the status of a request whose client went before there was an answer."""


class RequestLog:
    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        scope.setdefault("state", {}).update(request_id=request_id, started=time.monotonic())
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ClientGoneError:
            status = GONE
        except Exception as error:
            problem = as_problem(error)
            if problem.status == 500:
                failures.exception("request %s failed", request_id)
            if status:  # the answer has begun: all that can be done is not to end it as if it were whole
                status = 500
                raise
            await problem.response(instance_of(scope), request_id)(scope, receive, sending)
        finally:
            self._tell(scope, request_id, status or GONE, time.perf_counter() - started)

    def _tell(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = route_of(scope)
        self._metrics.requested(route, scope["method"], status, seconds)
        # Whoever watches the service asks every few seconds; that nothing is wrong is no news.
        level = logging.DEBUG if route in _WATCHED and status < 400 else logging.INFO
        if log.isEnabledFor(level):
            log.log(level, json.dumps(_line(scope, request_id, route, status, seconds)))


def _line(scope: Scope, request_id: str, route: str, status: int, seconds: float) -> dict[str, Any]:
    client = scope.get("client")
    line = {
        "request_id": request_id,
        "method": scope["method"],
        "route": route,
        "status": status,
        "milliseconds": round(1000 * seconds, 3),
        "client": client[0] if client else None,
    }
    for name in ("key_id", "gallery", "problem"):
        if (value := scope["state"].get(name)) is not None:
            line[name] = value
    return line


def route_of(scope: Scope) -> str:
    """The route's pattern, which names nobody."""
    return scope["state"].get("route") or getattr(scope.get("route"), "path_format", None) or "none"


def instance_of(scope: Scope) -> str:
    """The path as it was asked for."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    return raw.partition(b"?")[0].decode("ascii", "replace")


def _request_id(scope: Scope) -> str:
    """The client's own, where it can stand in a log as it is; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE.fullmatch(value):
            return str(value.decode("ascii"))
    return uuid.uuid4().hex
