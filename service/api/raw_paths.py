"""Addresses as they were sent: a slash within an id is told from one between the parts of an address.

Servers decode the path before an application sees it. Here routes are matched with the path as it was sent, and each
parameter is decoded by itself.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class RawPaths:
    """For what lies under a prefix."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(self._prefix) and scope.get("raw_path"):
            raw = scope["raw_path"].partition(b"?")[0].decode("latin-1")
            scope = {**scope, "path": raw}
        await self._app(scope, receive, send)
