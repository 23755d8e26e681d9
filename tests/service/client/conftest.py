"""Both clients behind one face, against a real service and against made-up replies in made-up time."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image

from service.access import KEYS_FILE, KeyStore
from service.api import Service, create_app
from service.client import AsyncClient, Client
from service.settings import ServiceSettings


def picture_of(person: int, shot: int = 0) -> bytes:
    """Somebody in a shirt and trousers; shots of one person differ a little."""
    colours = np.random.default_rng(person).integers(30, 226, (2, 3))
    noise = np.random.default_rng((person, shot)).integers(-20, 21, (96, 48, 3))
    pixels = np.repeat(colours, 48, axis=0)[:, None].repeat(48, axis=1) + noise
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG")
    return file.getvalue()


class Waited:
    """An AsyncClient whose every answer is waited for, so that one suite asks both kinds."""

    def __init__(self, *arguments: Any, sleep: Callable[[float], None] | None = None, **named: Any) -> None:
        self._runner = asyncio.Runner()
        if sleep is not None:

            async def sleep_in_loop(seconds: float) -> None:
                sleep(seconds)

            named["sleep"] = sleep_in_loop
        self._client = AsyncClient(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not inspect.ismethod(found):
            return found

        def waited(*arguments: Any, **named: Any) -> Any:
            got = found(*arguments, **named)
            if isinstance(got, AsyncIterator):
                return iter(self._runner.run(_gathered(got)))
            return self._runner.run(got)

        return waited

    def __repr__(self) -> str:
        return repr(self._client)

    def __enter__(self) -> Waited:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.close())
        self._runner.close()


async def _gathered(got: AsyncIterator[Any]) -> list[Any]:
    return [each async for each in got]


@dataclass
class Time:
    """Passes only where somebody waits; waits: for how long each time."""

    now: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        assert self.now < 100_000, "nobody waits for ever"


@dataclass(frozen=True)
class Served:
    url: str
    data: Path
    service: Service

    def key(self, *scopes: Any, **others: Any) -> str:
        with contextlib.closing(KeyStore(self.data / KEYS_FILE)) as keys:
            _, secret = keys.create(scopes, name="test", **others)
        self.service.running.keys.list()  # looks at the file at once
        return secret


@contextlib.contextmanager
def serve(data: Path, **settings: Any) -> Iterator[Served]:
    app = create_app(ServiceSettings(data=data, **{"threads": 1, "model": "synthetic-tiny"} | settings))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    service: Service = app.state.service
    try:
        service.settled.wait()
        assert service.failure is None
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", data, service)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for the whole file: each test has a gallery of its own."""
    with serve(tmp_path_factory.mktemp("served") / "data") as running:
        yield running


@pytest.fixture
def serve_anew(tmp_path: Path) -> Callable[..., contextlib.AbstractContextManager[Served]]:
    return lambda **settings: serve(tmp_path / "data", **settings)


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes a client of either kind."""
    with contextlib.ExitStack() as made:
        kind: Any = Client if request.param == "sync" else Waited

        yield lambda *arguments, **named: made.enter_context(kind(*arguments, **named))


@pytest.fixture
def client(make: Callable[..., Any], served: Served) -> Any:
    return make(served.url)


@pytest.fixture
def gallery(request: pytest.FixtureRequest) -> str:
    """A name of the test's own."""
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower())[-60:].strip("-")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def mocked(make: Callable[..., Any], time: Time) -> Callable[..., Any]:
    """A client whose requests a function answers, with a Response or an exception."""

    def mock(answer: Callable[[httpx.Request], httpx.Response], **options: Any) -> Any:
        def fresh(request: httpx.Request) -> httpx.Response:  # a response is of the client that took it
            got = answer(request)
            return httpx.Response(got.status_code, headers=got.headers, content=got.content)

        transport = httpx.MockTransport(fresh)
        settings = {"clock": time.clock, "sleep": time.sleep, "random": lambda: 0.0} | options
        return make("http://there", transport=transport, **settings)

    return mock


@pytest.fixture
def problem() -> Callable[..., httpx.Response]:
    def made(status: int, type: str, detail: str = "a sentence", **headers: str) -> httpx.Response:
        body = {"type": type, "title": "A title", "status": status, "detail": detail, "request_id": "r1", "errors": []}
        content = json.dumps(body).encode()
        return httpx.Response(status, content=content, headers={"Content-Type": "application/problem+json"} | headers)

    return made


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    return picture_of
