"""Who asks, and whether that is theirs to do: checked before anything of a request's body is looked at."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote, urlsplit

from fastapi import Depends, Request

from service.access import ForbiddenError, Key, Scope, UnauthenticatedError, is_loopback
from service.access.errors import BadKeyError
from service.access.key import check_text
from service.api.problems import Problem, as_problem, invalid
from service.api.service import Running, Service

_LOCAL_NAMES = {"localhost", "ip6-localhost"}
_MAKE_A_KEY = "make a key with `vantage key create --name NAME --scope admin`, and send it"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. key: None where the service has no keys, and then all is allowed from where it may be asked."""

    service: Service
    running: Running
    key: Key | None
    client: str | None
    purpose: str | None
    request_id: str
    started: float

    def allows(self, scope: Scope, gallery: str | None) -> bool:
        return self.key is None or self.key.allows(scope, gallery)

    def require(self, scope: Scope, gallery: str | None) -> None:
        """For what is named in a body and not in the address."""
        if self.key is not None:
            self.key.require(scope, gallery)


class Admission:
    """Lets a request in. scope: what it needs. anywhere: it concerns no gallery, and a key for any will do.
    counted: it takes a token of the key's rate."""

    def __init__(self, scope: Scope, *, anywhere: bool = False, counted: bool = False) -> None:
        self.scope: Scope = scope
        self._anywhere = anywhere
        self._counted = counted

    async def __call__(self, request: Request) -> Caller:
        service: Service = request.app.state.service
        running = service.running
        state, client = request.scope["state"], request.client.host if request.client else None
        gallery = request.path_params.get("gallery")
        gallery = None if gallery is None else unquote(gallery, errors="replace")
        try:
            key = running.keys.authenticate(sent_key(request)) if running.keys.has_keys else None
        except UnauthenticatedError as error:
            service.metrics.refused(type(error).__name__.removesuffix("Error").lower())
            raise
        state["gallery"] = gallery
        caller = Caller(service, running, key, client, _purpose(request), state["request_id"], state["started"])
        try:
            if key is None:
                if not service.settings.trust_network:
                    _require_local(client)
                _require_own_name(request)
            else:
                state["key_id"] = key.id
                self._require(key, gallery)
        except ForbiddenError as error:
            service.metrics.refused("forbidden")
            # Off the event loop: it may have to wait for the log's lock.
            await asyncio.to_thread(running.recorder.refused, caller, request.method, gallery, as_problem(error).type)
            raise
        if self._counted:
            self._count(caller)
        return caller

    def _require(self, key: Key, gallery: str | None) -> None:
        if not self._anywhere:
            key.require(self.scope, gallery)
        elif not key.holds(self.scope):
            raise ForbiddenError(
                f"key {key.id} ({key.name}) is for {', '.join(key.scopes)}, not for {self.scope}: use a key made with "
                f"--scope {self.scope}"
            )

    def _count(self, caller: Caller) -> None:
        key, settings = caller.key, caller.service.settings
        rate = settings.search_rate if key is None or key.rate is None else key.rate
        if rate is None:
            return
        wait = caller.running.limiter.take(key.id if key is not None else caller.client or "", rate)
        if wait:
            raise Problem(
                "rate-limited",
                f"{rate.per_second:g} searches a second are allowed: ask again in {wait:.2g} s",
                headers={"Retry-After": str(max(1, math.ceil(wait)))},
            )


def sent_key(request: Request) -> str | None:
    """Of `Authorization: Bearer` or else of `X-Api-Key`."""
    kind, _, sent = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and sent.strip():
        return sent.strip()
    return request.headers.get("x-api-key")


def _require_local(client: str | None) -> None:
    """Where there are no keys, only this machine may ask."""
    if client is not None and not is_loopback(client):
        raise ForbiddenError(f"without keys only this machine may ask, not {client}: {_MAKE_A_KEY}")


def _require_own_name(request: Request) -> None:
    """Where there are no keys, no web page that happens to be open on this machine may ask.

    A page of another site can send requests here, and by giving its own name our address even read the answers.
    """
    host = request.url.hostname or ""
    if not (is_loopback(host) or host in _LOCAL_NAMES):
        raise ForbiddenError(f"without keys the service is asked as localhost, not as {host[:100]}: {_MAKE_A_KEY}")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise ForbiddenError(f"without keys no page of another site may ask, not {origin[:100]}: {_MAKE_A_KEY}")


def _purpose(request: Request) -> str | None:
    purpose = request.headers.get("x-purpose")
    if purpose is None:
        return None
    try:
        return check_text("X-Purpose", purpose)
    except BadKeyError as error:
        raise invalid([("header X-Purpose", str(error))]) from error


MaySearch = Annotated[Caller, Depends(Admission("search", counted=True))]
MayEmbed = Annotated[Caller, Depends(Admission("search", anywhere=True, counted=True))]
MayLook = Annotated[Caller, Depends(Admission("search"))]
MayLookAnywhere = Annotated[Caller, Depends(Admission("search", anywhere=True))]
MayIngest = Annotated[Caller, Depends(Admission("ingest"))]
MayDelete = Annotated[Caller, Depends(Admission("delete"))]
MayAdminister = Annotated[Caller, Depends(Admission("admin"))]
MayAdministerSome = Annotated[Caller, Depends(Admission("admin", anywhere=True))]
