"""Clients that each ask, wait for the answer and ask again, over kept-alive connections, as cheaply as Python can."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Load:
    """rate: answers a second. p50, p99: milliseconds. own: share of a core that the clients themselves took."""

    rate: float
    p50: float
    p99: float
    own: float


class Client(asyncio.Protocol):
    """One of `requests` after another until `until` (by time.perf_counter) or until so many were answered."""

    def __init__(self, requests: Sequence[bytes], until: float, most: int, answers: list[tuple[float, float]]) -> None:
        self.requests, self.until, self.most, self.answers = requests, until, most, answers
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent, self.asked, self.received = 0, 0.0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._ask()

    def data_received(self, data: bytes) -> None:
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.received[:end].lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(self.received) < end + 4 + length:
            return
        if b" 200 " not in head[:16]:
            self._end(RuntimeError(self.received.decode(errors="replace")))
            return
        now = time.perf_counter()
        self.answers.append((now, now - self.asked))
        self.received = b""
        if now < self.until and self.sent < self.most:
            self._ask()
        else:
            self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or RuntimeError("the server closed the connection"))

    def _ask(self) -> None:
        self.sent += 1
        self.asked = time.perf_counter()
        self.transport.write(self.requests[self.sent % len(self.requests)])

    def _end(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None) if error is None else self.ended.set_exception(error)
            self.transport.close()


async def _ask(
    port: int, requests: Sequence[bytes], clients: int, until: float, most: int
) -> list[tuple[float, float]]:
    loop = asyncio.get_running_loop()
    answers: list[tuple[float, float]] = []
    made = []
    for first in range(clients):
        mine = [*requests[first % len(requests) :], *requests[: first % len(requests)]]
        made.append(
            await loop.create_connection(lambda mine=mine: Client(mine, until, most, answers), "127.0.0.1", port)
        )
    await asyncio.gather(*(client.ended for _, client in made))
    return answers


def press(port: int, requests: Sequence[bytes], clients: int, seconds: float, warm_up: float) -> Load:
    """What so many clients get for so long, after a while that does not count."""
    spent, begin = time.process_time(), time.perf_counter()
    end = begin + warm_up + seconds
    answers = asyncio.run(_ask(port, requests, clients, end, 1 << 60))
    own = (time.process_time() - spent) / (time.perf_counter() - begin)
    counted = [took for at, took in answers if begin + warm_up <= at <= end]
    p50, p99 = np.percentile(counted, [50, 99]) * 1000
    return Load(len(counted) / seconds, float(p50), float(p99), own)


def ask(port: int, requests: Sequence[bytes], clients: int, count: int) -> None:
    """So many requests, by so many clients."""
    asyncio.run(_ask(port, requests, clients, float("inf"), count // clients))
