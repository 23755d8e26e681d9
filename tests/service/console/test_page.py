"""What is served for the console: the page, its files and the samples, and nothing else."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service import console
from service.demo import QUERIES

STATIC = Path(console.__file__).parent / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))
SHEETS = sorted(STATIC.glob("*.css"))
NAMESPACE = "http://www.w3.org/2000/svg"


@pytest.fixture(scope="module")
def client():
    app = FastAPI(docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(console.router)
    with TestClient(app) as client:
        yield client


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def imports_of(script: str) -> set[str]:
    return set(re.findall(r'(?:from|import)\s*\(?"\./([^"]+)"', script))


def code_of(script: Path) -> str:
    return re.sub(r"(?m)(^|\s)//.*$", "", script.read_text())


def test_the_page_and_all_that_it_loads_are_served_as_what_they_are(client):
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    tags = Tags(page.text).found
    wanted = {attributes["src"] for tag, attributes in tags if tag == "script"}
    wanted |= {attributes["href"] for tag, attributes in tags if tag == "link"}
    kinds = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
    seen = set()
    while wanted - seen:
        name = (wanted - seen).pop()
        seen.add(name)
        assert re.fullmatch(r"console/[\w-]+\.(js|css|svg)", name), name  # relative: a proxy may add a prefix
        answer = client.get(f"/{name}")
        assert answer.status_code == 200, name
        assert answer.headers["content-type"] == kinds[name.rpartition(".")[2]]
        if name.endswith(".js"):
            wanted |= {f"console/{module}" for module in imports_of(answer.text)}
    assert {Path(name).name for name in seen} == {path.name for path in STATIC.iterdir()} - {"index.html"}


def test_nothing_refers_to_another_place():
    for path in STATIC.iterdir():
        text = code_of(path) if path.suffix == ".js" else path.read_text()
        assert not re.search(r"(https?:)?//\w", text.replace(NAMESPACE, "")), path
        assert not re.search(r'url\(|@import|(href|src)="/', text), path


def test_the_policy_allows_what_is_served_here_and_nothing_inline(client):
    for path in ("/", "/console/main.js", "/console/style.css", "/console/icon.svg"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    for tag, attributes in Tags(client.get("/").text).found:
        assert tag != "style"
        assert tag != "script" or attributes.get("src")
        assert not any(name == "style" or name.startswith("on") for name in attributes)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_text_never_becomes_markup_or_code(script):
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|document\.write|DOMParser|\beval\b|Function\("
    assert not re.search(forbidden, code_of(script))


def test_what_the_tab_is_told_stays_in_the_tab():
    for script in SCRIPTS:
        assert not re.search(r"localStorage|indexedDB|document\.cookie", code_of(script)), script
    kept = [script.name for script in SCRIPTS if "sessionStorage" in code_of(script)]
    assert kept == ["api.js"]


def test_every_script_says_what_it_is_for_and_is_short():
    for script in SCRIPTS:
        lines = script.read_text().splitlines()
        assert lines[0].startswith("// "), script
        assert len(lines) <= 300, script


def test_colours_have_a_light_and_a_dark_side():
    tokens = re.findall(r"--[\w-]+: (#[0-9a-f]+|light-dark\([^)]+\));", (STATIC / "style.css").read_text())
    assert len(tokens) > 12
    assert all(token.startswith("light-dark(") for token in tokens)


@pytest.mark.parametrize(
    "name", ["nothing.js", "index.html", "..%2fpage.py", "%2e%2e/page.py", "%2e%2e%2fpage.py", "", "main.js/"]
)
def test_what_is_none_of_the_pages_files_is_not_there(client, name):
    assert client.get(f"/console/{name}").status_code == 404


def test_the_samples_are_the_demos_queries(client):
    names = client.get("/console/samples").json()["samples"]
    assert names == [path.name for path in QUERIES]
    assert len(names) == 12
    sample = client.get(f"/console/samples/{names[0]}")
    assert sample.headers["content-type"] == "image/jpeg"
    assert sample.content == QUERIES[0].read_bytes()


@pytest.mark.parametrize("name", ["nobody.jpg", "..%2fgallery.csv", "%2e%2e/README.md", "..%2f..%2fsettings.py"])
def test_no_other_file_is_a_sample(client, name):
    assert client.get(f"/console/samples/{name}").status_code == 404


def test_the_console_is_not_in_the_document_of_the_api(client):
    assert client.get("/openapi.json").json()["paths"] == {}
