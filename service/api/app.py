"""The service as an application that any ASGI server can run, in one process."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from service.access import AccessError
from service.api import docs_page
from service.api.body_limit import BodyLimit, BodyRules
from service.api.documents import describe
from service.api.problems import Problem, as_problem
from service.api.raw_paths import RawPaths
from service.api.request_log import RequestLog, instance_of
from service.api.routes import BODIES, V1, health
from service.api.security_headers import SecurityHeaders
from service.api.service import Service
from service.api.starting import start, stop
from service.console import page
from service.embedding import ServingError
from service.gallery import GalleryError
from service.images import BadImageError
from service.settings import ServiceSettings

_ROUTED = (health, docs_page, page, *V1)
_BULK = "/items:batch"
# What is wrong with a request. Anything else is a fault of ours, which `RequestLog` answers.
_EXPECTED = (
    HTTPException,
    RequestValidationError,
    Problem,
    BadImageError,
    GalleryError,
    ServingError,
    AccessError,
)
_DESCRIPTION = """Which of the crops that were seen are most likely the same person?

A score is a similarity and no probability. Every problem is `application/problem+json`, whose `type` programs can rely
on. Ids in addresses are percent-encoded."""


def create_app(settings: ServiceSettings) -> FastAPI:
    """The application; `app.state.service` is the `Service` behind it, and its `failure` says why it did not start.

    It listens at once and starts meanwhile: `/livez` answers, `/readyz` says how far it is.
    """
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        starting = start(service)
        try:
            yield
        finally:
            await stop(service, starting)

    app = FastAPI(
        title="Vantage",
        version=health.VERSION,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # those would fetch their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    for module in _ROUTED:
        app.include_router(module.router)
    for error in _EXPECTED:
        app.add_exception_handler(error, _refuse)
    describe(app, BODIES)

    def rules(scope: Scope) -> BodyRules:
        if scope["path"].endswith(_BULK):
            return BodyRules(settings.max_bulk_bytes, settings.body_seconds, streamed=True)
        return BodyRules(settings.max_body_bytes, settings.body_seconds)

    # The last that is added comes first.
    app.add_middleware(BodyLimit, rules=rules)
    app.add_middleware(RequestLog, metrics=service.metrics)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RawPaths, prefix="/v1/")
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    """The answer to a request that cannot be answered otherwise."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        error.headers = {"Allow": ", ".join(sorted(_methods(request.scope["path"])))}
    problem = as_problem(error)
    state = request.scope["state"]
    state["problem"] = problem.type
    return problem.response(instance_of(request.scope), state["request_id"])


def _methods(path: str) -> set[str]:
    """All that can be done at an address: each route knows only of itself."""
    found: dict[int, set[str]] = {}
    for module in _ROUTED:
        for route in module.router.routes:
            if isinstance(route, APIRoute) and route.path_regex.match(path):
                # Of addresses with the most that is fixed: s:restore is no snapshot of that name.
                fixed = len(re.sub(r"\{\w+\}", "", route.path_format))
                found.setdefault(fixed, set()).update(route.methods or ())
    return found[max(found)]
