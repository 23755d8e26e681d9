"""How much a request may bring, and how long it may take to: enforced while it is read, before anything parses it.

Also where no length is announced. What comes as a stream (many rows, handled one by one) has a larger limit, and its
time is that between two pieces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import Problem

# A connection that is closed while its client sends is reset, and the client never sees why. So a little more is read
# and thrown away first.
_LINGER_SECONDS = 1.0
_CLOSE = {"Connection": "close"}


@dataclass(frozen=True, slots=True)
class BodyRules:
    """bytes: of the whole body. seconds: for the whole body, or with `streamed` for each piece of it."""

    bytes: int
    seconds: float
    streamed: bool = False


class BodyLimit:
    """rules: what holds for a request, by its scope."""

    def __init__(self, app: ASGIApp, rules: Callable[[Scope], BodyRules]) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"")
        if announced == b"0" or (not announced and b"transfer-encoding" not in headers):
            await self._app(scope, receive, send)  # there is no body
            return
        reader = _Reader(receive, self._rules(scope), may_linger=b"expect" not in headers)
        if announced.isdigit() and int(announced) > reader.rules.bytes:
            raise await reader.too_large()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and not announced and not reader.complete:
                # Nobody will read the rest, and there may be no end to it.
                MutableHeaders(scope=message).update(_CLOSE)
            await send(message)

        await self._app(scope, reader, sending)


class _Reader:
    def __init__(self, receive: Receive, rules: BodyRules, *, may_linger: bool) -> None:
        self.rules = rules
        self.complete = False
        self._receive = receive
        self._may_linger = may_linger  # not where the client waits to be told that it may send
        self._read = 0
        self._until: float | None = None

    async def __call__(self) -> Message:
        if self.complete:  # from here on it is waited for the client to go
            return await self._receive()
        message = await self._in_time()
        self._note(message)
        if self._read > self.rules.bytes:
            raise await self.too_large()
        return message

    async def too_large(self) -> Problem:
        """To be raised, when the client may be ready to hear it."""
        if self._may_linger:
            most = self._read + self.rules.bytes
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_SECONDS):
                    while not self.complete and self._read <= most:
                        self._note(await self._receive())
        return Problem(
            "body-too-large", f"a body may have {self.rules.bytes:,} bytes here: send less at once", headers=_CLOSE
        )

    def _note(self, message: Message) -> None:
        self._read += len(message.get("body", b""))
        self.complete = message["type"] != "http.request" or not message.get("more_body", False)

    async def _in_time(self) -> Message:
        now = asyncio.get_running_loop().time()
        if self._until is None or self.rules.streamed:
            self._until = now + self.rules.seconds
        try:
            async with asyncio.timeout_at(self._until):
                return await self._receive()
        except TimeoutError as error:
            what = "nothing came for" if self.rules.streamed else "the body was not there within"
            raise Problem(
                "request-timeout", f"{what} {self.rules.seconds:g} s: send faster, or less at once", headers=_CLOSE
            ) from error
