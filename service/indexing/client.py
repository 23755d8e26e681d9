"""Talking to a running service: requests over one kept connection, and its problems as sentences."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any, Self
from urllib.parse import quote, urlsplit

from service.indexing.errors import IndexingError

NDJSON = "application/x-ndjson"
_TIMEOUT = 300.0  # seconds; a batch of pictures may take a while on a busy service
_PATIENCE = 600.0  # seconds for which a service that is busy, or starting, is asked again
_LONGEST_WAIT = 10.0


class ServiceClient:
    """One connection; to be used by one thread at a time."""

    def __init__(self, server: str, key: str | None) -> None:
        parts = urlsplit(server if "//" in server else f"http://{server}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise IndexingError(f"--server is {server!r}: give an address such as http://127.0.0.1:8000")
        self._server, self._prefix = server, parts.path.rstrip("/")
        connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = connect(parts.hostname, parts.port, timeout=_TIMEOUT)
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None, {})

    def post(self, path: str, body: bytes, content_type: str = "application/json") -> Any:
        return self._ask("POST", path, body, {"Content-Type": content_type})

    def find(self, path: str) -> Any | None:
        """As `get`; None where there is no such thing."""
        return self._ask("GET", path, None, {}, missing_is_none=True)

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], missing_is_none: bool = False
    ) -> Any:
        """Asks again while the service is busy or starting. Everything that is asked here may be asked twice."""
        until = time.monotonic() + _PATIENCE
        while True:
            status, answered, content = self._once(method, path, body, headers)
            if status < 300:
                return json.loads(content) if content else None
            if status == 404 and missing_is_none:
                return None
            if status not in (429, 503) or time.monotonic() > until:
                raise IndexingError(f"{self._server} refuses {method} {path}: {_sentence(status, content)}")
            time.sleep(min(float(answered.get("Retry-After") or 1), _LONGEST_WAIT))

    def _once(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        for last in (False, True):
            try:
                self._connection.request(method, self._prefix + path, body, self._headers | headers)
                answer = self._connection.getresponse()
                return answer.status, answer.headers, answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()  # a kept connection may have been closed at the other end: once more, anew
                if last or isinstance(error, ConnectionRefusedError):
                    raise IndexingError(
                        f"{self._server} does not answer ({str(error) or type(error).__name__}): is a service running "
                        "there? What was committed stays; run the same command again to go on"
                    ) from error
        raise AssertionError("the last attempt returns or raises")


def path_of(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _sentence(status: int, content: bytes) -> str:
    try:
        problem = json.loads(content)
        return str(problem.get("detail") or problem.get("title") or status)
    except (ValueError, AttributeError):
        return f"status {status}"
