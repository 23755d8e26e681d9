"""Work for a client that has gone is not worth doing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

T = TypeVar("T")


class ClientGoneError(Exception):
    """The client closed its connection; nobody is there to be told."""


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What the work gives. When the client goes it is cancelled, and ClientGoneError raised. The body has been read."""
    doing = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((doing, watching), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise ClientGoneError
    finally:
        watching.cancel()
        if not doing.done():
            doing.cancel()
        await asyncio.gather(doing, watching, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
