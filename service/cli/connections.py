"""The HTTP protocol of uvicorn, with an end to its patience: whoever never ends the head of a request is cut off.

uvicorn waits for ever for a request's first line and headers, and keeps as much of them as is sent; a few thousand
clients that send a byte a minute would use up all files that the process may open, and one that never stops all memory.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_SECONDS = 10.0
"""From the first byte, or from the connection on, until the head of a request must be there."""
HEAD_BYTES = 32 * 1024
"""Of a request's first line and headers, trailers included; more is refused."""


class HeadTooLargeError(Exception):
    """The parser turns it into an error of its own, and that is answered with 400."""


class ImpatientProtocol(HttpToolsProtocol):
    _patience: asyncio.TimerHandle | None = None
    _in_head = False
    _parsed = 0  # bytes of this head that were told
    _pending = 0  # and at most so many that were not

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._pending = self._pending + len(data) if self._in_head else 0
        if self._pending > HEAD_BYTES:
            self.send_400_response(f"The head of a request may have {HEAD_BYTES} bytes.")
        elif self._patience is None and (self._in_head or not self._answering):
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._parsed = True, 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False
        self._stop_waiting()

    @property
    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request, whatever uvicorn says
        return cycle is not None and not cycle.response_complete

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > HEAD_BYTES:
            raise HeadTooLargeError

    def _wait(self) -> None:
        self._patience = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
