"""Where the service is, and what goes along with every request."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

import httpx

from service.client.calls import Call
from service.client.errors import BadCallError

_CONNECT_SECONDS = 10.0
_KEEP_SECONDS = 3.0
"""For which a connection is kept; less than services keep it, or a request might meet one that is just being closed."""
_MOST_CONNECTIONS = 100


def checked_address(url: str) -> str:
    """Without a slash at its end; what comes before /v1 where the service is behind a proxy stays."""
    address = url if "//" in url else f"http://{url}"
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise BadCallError(f"the service's address is {url!r}: give one such as http://127.0.0.1:8000")
    if parts.username is not None:
        raise BadCallError("the service's address holds a user's name: give the key as key, and leave that out")
    return address.rstrip("/")


def options(address: str, key: str | None, purpose: str | None, timeout: float) -> dict[str, Any]:
    """For an httpx client, of either kind."""
    headers = {"Accept": "application/json", "User-Agent": "vantage-client"}
    if key is not None:
        headers["Authorization"] = f"Bearer {_header('key', key, 'ascii')}"
    if purpose is not None:
        headers["X-Purpose"] = _header("purpose", purpose, "latin-1")
    return {
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "timeout": httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS), pool=None),
        "limits": httpx.Limits(max_connections=_MOST_CONNECTIONS, keepalive_expiry=_KEEP_SECONDS),
        "trust_env": not _is_this_machine(address),  # a proxy that the environment names cannot reach this machine
    }


def request(address: str, call: Call[Any]) -> dict[str, Any]:
    """For `request` of an httpx client, of either kind."""
    made: dict[str, Any] = {"method": call.method, "url": address + call.path, "headers": dict(call.headers)}
    if call.parameters:
        made["params"] = list(call.parameters)
    if call.parts:
        made["files"] = list(call.parts)
    elif call.body is not None:
        made["content"] = call.body
        made["headers"]["Content-Type"] = call.content_type
    return made


def _header(name: str, value: str, coding: str) -> str:
    try:
        value.encode(coding)
    except UnicodeEncodeError:
        fits = False
    else:
        fits = bool(value.strip()) and value.isprintable()
    if not fits:
        shown = "" if name == "key" else f" is {value!r}"
        raise BadCallError(f"the {name}{shown} cannot stand in a header: give one line of {coding} text")
    return value.strip()


def _is_this_machine(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
