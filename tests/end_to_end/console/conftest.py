"""The console as somebody uses it: a service that runs, the demo's gallery, and a browser.

The browser is Debian's Chromium, or the one that CHROMIUM names. It lives as long as a file's tests: while it does, an
asyncio loop counts as running on this thread, and the tests of other files start loops of their own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from models import ZOO, Bundle
from service.access import KEYS_FILE, KeyStore
from service.api import Service, create_app
from service.demo import load_demo
from service.gallery.embedded import EmbeddedEngine
from service.settings import ServiceSettings

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Chromium says on its console that an answer was not 2xx, or none came. Of the API that is the page's to tell, and no
# fault of the page.
REFUSED = "Failed to load resource: "
OF_THE_API = ("/v1/", "/readyz", "/version")
OWN = ("data:", "blob:", "about:")  # addresses that no host is asked for
PATIENCE_MS = 20_000  # of a busy machine; what is there is not waited for

expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Served:
    """A service that answers at `url`, and a client of it."""

    url: str
    data: Path
    client: httpx.Client
    service: Service
    server: uvicorn.Server
    thread: threading.Thread

    def stop(self) -> None:
        """As a signal does."""
        self.server.should_exit = True
        self.thread.join()

    def key(self, *scopes: Any, galleries: tuple[str, ...] | None = None, **others: Any) -> str:
        """The secret of a new key."""
        with contextlib.closing(KeyStore(self.data / KEYS_FILE)) as keys:
            _, secret = keys.create(scopes, name="test", galleries=galleries, **others)
        self.service.running.keys.list()  # looks at the file at once
        return secret

    def gallery(self, name: str, **settings: Any) -> str:
        """A new, empty gallery that keeps crops."""
        self.client.post("/v1/galleries", json={"name": name, "store_crops": True} | settings).raise_for_status()
        return name


@dataclass
class Console:
    """A page of a new browser context, which shows nothing yet, and the service to open in it."""

    url: str
    page: Page
    served: Served


Serve = Callable[..., AbstractContextManager[Served]]
OpenPage = Callable[..., Page]


@contextlib.contextmanager
def _serve(data: Path, *, wait: bool = True, **settings: Any) -> Iterator[Served]:
    app = create_app(ServiceSettings(data=data, **{"threads": 1, "model": "synthetic-tiny"} | settings))
    service: Service = app.state.service
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            if wait:
                service.settled.wait()
                assert service.failure is None
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with httpx.Client(base_url=url, timeout=60) as client:
                yield Served(url, data, client, service, server, thread)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the gallery `demo`, to be copied."""
    data = tmp_path_factory.mktemp("demo") / "data"
    with contextlib.closing(EmbeddedEngine.open(data)) as engine:
        assert load_demo(engine, Bundle.open(ZOO / "synthetic-tiny"), threads=1)
        engine.settle("demo")
    return data


@pytest.fixture(scope="module")
def served(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for the whole file, with the gallery `demo`: a test that changes a gallery makes one of its own."""
    data = tmp_path_factory.mktemp("served") / "data"
    shutil.copytree(demo_data, data)
    with _serve(data) as running:
        yield running


@pytest.fixture
def serve(demo_data: Path, tmp_path: Path) -> Serve:
    """Opens a service of the test's own, with settings, on a copy of the demo's data or on `data`; with `wait=False`
    at once, while it starts."""

    def opened(data: Path | None = None, **settings: Any) -> AbstractContextManager[Served]:
        if data is None:
            shutil.copytree(demo_data, data := tmp_path / "data")
        return _serve(data, **settings)

    return opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    named = os.environ.get("CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    if named and found is None:
        raise pytest.UsageError(f"CHROMIUM is {named!r}, which is no program here: name one, or leave it unset")
    if found is None:
        pytest.skip("the console's tests want a browser: apt-get install chromium")
    with sync_playwright() as playwright:
        # As root, and in a container, Chromium has no sandbox to offer; nothing is shown in it but pages of ours.
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield opened
        finally:
            opened.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens pages, each of a browser context of its own with Playwright's options for contexts; times are in UTC.

    The test fails if one of them says an error on its console, ends a script by an exception, or asks another host than
    the first that it was sent to.
    """
    faults: list[str] = []

    def opened(**options: Any) -> Page:
        page = browser.new_context(**{"timezone_id": "UTC", "locale": "en-GB"} | options).new_page()
        page.set_default_timeout(PATIENCE_MS)
        hosts: list[str] = []

        def said(message: ConsoleMessage) -> None:
            place = message.location.get("url", "")
            refused = message.text.startswith(REFUSED) and urlsplit(place).path.startswith(OF_THE_API)
            if message.type == "error" and not refused:
                faults.append(f"the console says: {message.text} ({place})")

        def asked(request: Request) -> None:
            if not request.url.startswith(OWN):
                hosts.append(urlsplit(request.url).netloc)
                if hosts[-1] != hosts[0]:
                    faults.append(f"another host was asked: {request.url}")

        page.context.on("console", said)
        page.context.on("request", asked)
        page.context.on("weberror", lambda error: faults.append(f"a script ended with: {error.error}"))
        return page

    yield opened
    for context in browser.contexts:
        context.close()
    assert not faults, "\n".join(faults)


@pytest.fixture
def console(open_page: OpenPage, served: Served) -> Console:
    return Console(served.url, open_page(), served)
