"""A real service: uvicorn in a thread, the model that comes with vantage, a data directory of its own."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image

from service.access import AUDIT_FOLDER, KEYS_FILE, AuditTrail, Entry, KeyStore
from service.api import Service, create_app
from service.gallery.embedded import EmbeddedEngine
from service.settings import ServiceSettings


def picture_of(person: int, shot: int = 0, form: str = "JPEG", size: tuple[int, int] = (48, 96)) -> bytes:
    """Somebody in a shirt and trousers; shots of one person differ a little."""
    colours = np.random.default_rng(person).integers(30, 226, (2, 3))
    noise = np.random.default_rng((person, shot)).integers(-20, 21, (96, 48, 3))
    pixels = np.repeat(colours, 48, axis=0)[:, None].repeat(48, axis=1) + noise
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).resize(size).save(file, form)
    return file.getvalue()


@dataclass
class Served:
    """A service that answers at `url`, and a client of it."""

    url: str
    data: Path
    client: httpx.Client
    service: Service
    server: uvicorn.Server
    thread: threading.Thread
    secrets: dict[Any, str] = field(default_factory=dict)

    def stop(self) -> None:
        """As a signal does."""
        self.server.should_exit = True
        self.thread.join()

    def key(self, *scopes: Any, galleries: tuple[str, ...] | None = None, **others: Any) -> dict[str, str]:
        """Headers with a new key."""
        with contextlib.closing(KeyStore(self.data / KEYS_FILE)) as keys:
            _, secret = keys.create(scopes, name="test", galleries=galleries, **others)
        self.service.running.keys.list()  # looks at the file at once
        return {"Authorization": f"Bearer {secret}"}

    def gallery(self, name: str, people: int = 0, **settings: Any) -> str:
        """A new gallery with two shots of so many people, by two cameras; the path of it."""
        self.client.post("/v1/galleries", json={"name": name, "store_crops": True} | settings).raise_for_status()
        rows = [
            {
                "id": f"p{person}/{shot}",
                "image_b64": base64.b64encode(picture_of(person, shot)).decode(),
                "camera_id": f"c{shot}",
                "person": f"{person}",
            }
            for person in range(people)
            for shot in (0, 1)
        ]
        if rows:
            self.bulk(f"/v1/galleries/{name}", rows).raise_for_status()
            engine = self.service.running.engine
            assert isinstance(engine, EmbeddedEngine)
            engine.settle(name)  # else the graph would be refreshed between two questions
        return f"/v1/galleries/{name}"

    def bulk(self, gallery: str, rows: list[Any], **parameters: str) -> httpx.Response:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        headers = {"Content-Type": "application/x-ndjson"}
        return self.client.post(f"{gallery}/items:batch", content=lines, headers=headers, params=parameters)

    def put(self, gallery: str, id: str, picture: bytes, **facts: Any) -> httpx.Response:
        from urllib.parse import quote

        path = f"/v1/galleries/{gallery}/items/{quote(id, safe='')}"
        return self.client.put(path, content=picture, headers={"Content-Type": "image/jpeg"}, params=facts)

    def job(self, answer: httpx.Response) -> dict[str, Any]:
        """The job that was taken in, once it has ended."""
        assert answer.status_code == 202, answer.text
        while (job := self.client.get(answer.headers["Location"]).json())["state"] in ("waiting", "running"):
            pass
        return dict(job)

    def audited(self) -> list[Entry]:
        return list(AuditTrail(self.data / AUDIT_FOLDER).entries())


Serve = Callable[..., AbstractContextManager[Served]]


@contextlib.contextmanager
def _serve(data: Path, *, wait: bool = True, **settings: Any) -> Iterator[Served]:
    app = create_app(ServiceSettings(data=data, **{"threads": 1, "model": "synthetic-tiny"} | settings))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    service: Service = app.state.service
    try:
        if wait:
            service.settled.wait()
            assert service.failure is None
        with httpx.Client(base_url=url, timeout=60) as client:
            yield Served(url, data, client, service, server, thread)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Opens a service of the test's own, in its temporary directory, with settings."""

    def opened(**settings: Any) -> AbstractContextManager[Served]:
        return _serve(settings.pop("data", tmp_path / "data"), **settings)

    return opened


@pytest.fixture(scope="session")
def open_service() -> Serve:
    """Opens a service on a data directory."""
    return _serve


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for the whole file: each test has a gallery of its own."""
    with _serve(tmp_path_factory.mktemp("served") / "data") as running:
        yield running


@pytest.fixture
def gallery(served: Served, request: pytest.FixtureRequest) -> str:
    """The path of a gallery with two shots of eight people."""
    name = "g" + request.node.name.lower().replace("_", "-").replace("[", "-").replace("]", "")[-50:]
    return served.gallery("".join(letter if letter.isalnum() else "-" for letter in name), people=8)


@pytest.fixture
def picture() -> Callable[..., bytes]:
    return picture_of


@pytest.fixture
def many() -> Iterator[ThreadPoolExecutor]:
    """Clients at the same time."""
    with ThreadPoolExecutor(32) as pool:
        yield pool


@pytest.fixture(scope="session")
def a_picture() -> bytes:
    return picture_of(0)
