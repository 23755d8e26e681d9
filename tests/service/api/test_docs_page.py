"""The page /docs, as it is served and in a browser."""

import re
import shutil
import socket
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Annotated, Literal

import pytest
import uvicorn
from fastapi import FastAPI, Query, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field
from starlette.testclient import TestClient

from service.api import docs_page
from service.api.security_headers import SecurityHeaders

STATIC = Path(docs_page.__file__).parent / "static"
CHROMIUM = shutil.which("chromium")


class Wish(BaseModel):
    top_k: int = Field(10, ge=1, le=1000, description="How many <b>results</b>.", examples=[7])
    within: "Wish | None" = None


def toy() -> FastAPI:
    app = FastAPI(title="Toy", version="1", docs_url=None, redoc_url=None)
    app.include_router(docs_page.router)
    app.add_middleware(SecurityHeaders)
    bearer = HTTPBearer(auto_error=False)

    @app.post("/v1/{gallery}/search", tags=["search"], summary="Who is this?", operation_id="search")
    def search(
        gallery: str,
        wish: Wish,
        key: Annotated[object, Security(bearer)],
        mode: Annotated[Literal["on", "off"] | None, Query()] = None,
    ) -> dict[str, object]:
        return {"gallery": gallery, "top_k": wish.top_k, "mode": mode, "key": getattr(key, "credentials", None)}

    @app.get("/livez", tags=["operation"], summary="Whether it lives", operation_id="livez")
    def livez() -> dict[str, str]:
        return {"status": "alive"}

    return app


@pytest.fixture(scope="module")
def client():
    with TestClient(toy()) as client:
        yield client


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_everything_that_the_page_loads_is_served_from_here(client):
    page = client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    tags = Tags(page.text).found
    wanted = [attributes["src"] for tag, attributes in tags if tag == "script"]
    wanted += [attributes["href"] for tag, attributes in tags if tag == "link" and attributes["rel"] == "stylesheet"]
    assert len(wanted) == 2
    while wanted:
        name = wanted.pop()
        assert re.fullmatch(r"docs/\w+\.(js|css)", name), name
        answer = client.get(f"/{name}")
        assert answer.status_code == 200
        kind = "javascript" if name.endswith("js") else "css"
        assert answer.headers["content-type"] == f"text/{kind}; charset=utf-8"
        wanted += [f"docs/{module}" for module in re.findall(r'from "\./(\w+\.js)"', answer.text)]


def test_nothing_refers_to_another_place():
    for path in STATIC.iterdir():
        assert not re.search(r"(https?:)?//\w", re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.M)), path


def test_the_policy_allows_what_is_served_here_and_nothing_inline(client):
    for path in ("/docs", "/docs/docs.js"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'" in policy
        assert "unsafe" not in policy
    assert "script-src" not in client.get("/livez").headers["content-security-policy"]
    for tag, attributes in Tags(client.get("/docs").text).found:
        assert tag != "style"
        assert tag != "script" or attributes.get("src")
        assert not any(name == "style" or name.startswith("on") for name in attributes)


def test_text_never_becomes_markup():
    for path in STATIC.glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(", path.read_text()
        )


@pytest.mark.parametrize("name", ["nothing.js", "docs.html", "..%2fdocs_page.py", "%2e%2e/docs_page.py"])
def test_what_is_none_of_the_pages_files_is_not_there(client, name):
    assert client.get(f"/docs/{name}").status_code == 404


def test_the_page_is_not_in_the_document_that_it_shows(client):
    assert set(client.get("/openapi.json").json()["paths"]) == {"/v1/{gallery}/search", "/livez"}


@pytest.fixture
def address():
    server = uvicorn.Server(uvicorn.Config(toy(), log_level="error", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_every_operation_and_sends_what_was_filled_in(address, scheme):
    from playwright.sync_api import sync_playwright

    complaints = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(color_scheme=scheme)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
        page.goto(f"{address}/docs#search")
        operation = page.locator("details#search[open]")
        operation.locator("form").wait_for()
        assert page.locator("details.operation").count() == 2
        assert "How many <b>results</b>." in operation.inner_text()
        assert "1 to 1000, default 10" in operation.inner_text()

        page.get_by_label("API key").fill("vk_secret")
        operation.get_by_label("gallery *").fill("a b")
        operation.get_by_text("further parameters").click()
        operation.get_by_label("mode").select_option("off")
        operation.get_by_role("button", name="Send").click()
        operation.get_by_text("200 OK").wait_for()
        shown = operation.locator(".answer").inner_text()
        assert all(part in shown for part in ('"gallery": "a b"', '"top_k": 7', '"mode": "off"', '"key": "vk_secret"'))
        assert "/v1/a%20b/search?mode=off" in shown
        assert '-H "authorization: Bearer $VANTAGE_KEY"' in shown

        page.get_by_label("Find").fill("livez")
        assert not operation.is_visible()
        assert page.locator("details#livez").is_visible()
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]
        browser.close()
    assert complaints == []
