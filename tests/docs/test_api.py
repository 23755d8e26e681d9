"""The API guide's words are run against a service with the demo gallery, and held against what the code says."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import httpx
import pytest
import uvicorn

from service.api import create_app
from service.api.problems import KINDS
from service.api.routes.items_bulk import _MOST_IDS
from service.client import Client, ServiceError
from service.client.errors import ERROR_OF_STATUS
from service.gallery.items import ID_BYTES, METADATA_BYTES
from service.gallery.searching import MOST_CROPS
from service.settings import ServiceSettings

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "api.md").read_text()
BLOCK = re.compile(r"(<!-- runnable -->\n+)?```(\w+)\n(.*?)```", re.DOTALL)
BLOCKS = [(bool(mark), language, text) for mark, language, text in BLOCK.findall(GUIDE)]
ADDRESS = "http://127.0.0.1:8000"
UNITS = {"": 1, "ms": 1, "bytes": 1, "KiB": 2**10, "MiB": 2**20}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    app = create_app(ServiceSettings(data=tmp_path_factory.mktemp("demo") / "data", demo=True, device="cpu", threads=1))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            app.state.service.settled.wait()
            assert app.state.service.failure is None
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def table(heading):
    """Rows of the first table after a heading, as lists of cells without backticks."""
    lines = GUIDE.split(heading, 1)[1].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return rows[2:]


def names_in(text):
    return set(re.findall(r'"(\w+)": ?', text))


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here: install it")
def test_all_that_is_marked_runs_in_its_order_and_answers_hold_what_is_shown(url, tmp_path, monkeypatch):
    (tmp_path / "service").symlink_to(ROOT / "service")  # blocks are written as if run in the checkout
    monkeypatch.chdir(tmp_path)
    names, printed, ran = {}, "", 0
    with contextlib.ExitStack() as at_the_end:
        at_the_end.callback(lambda: "client" in names and names["client"].close())
        for runnable, language, text in BLOCKS:
            if runnable:
                assert language in ("sh", "python"), text
                ran += 1
                here = text.replace(ADDRESS, url)
            if runnable and language == "sh":
                command = ["bash", "-euo", "pipefail", "-c", here]
                run = subprocess.run(command, capture_output=True, text=True, check=False)
                assert run.returncode == 0, text + run.stdout + run.stderr
                printed = run.stdout
            elif runnable:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(here, text.splitlines()[0], "exec"), names)
            elif language == "json":  # what the shell's block before it answers, shortened
                missing = names_in(text) - names_in(printed)
                assert not missing, f"{missing} are shown, and not answered: {text}"
    assert ran == GUIDE.count("<!-- runnable -->") > 20


def test_every_kind_of_problem_stands_in_the_table_with_what_the_client_raises():
    told = {(int(status), type, kind) for status, type, kind, _ in table("## Errors")}
    assert told == {
        (kind.status, type, ERROR_OF_STATUS.get(kind.status, ServiceError).__name__) for type, kind in KINDS.items()
    }


def asked_in(rows):
    """(method, path) pairs, of cells such as `POST`, `GET /feedback`."""
    for row in rows.splitlines():
        if not row.startswith("| "):
            continue
        methods, ended = set(), False
        for method, path in re.findall(r"\b(GET|POST|PUT|DELETE)\b|(/[^`\s]*)(?=`)", row.split("|")[2]):
            if method:
                methods, ended = ({method} if ended else methods | {method}), False
            else:
                ended = True
                yield from ((each, path) for each in methods)


def test_every_endpoint_stands_in_the_tables(url):
    answered = httpx.get(f"{url}/openapi.json").json()
    below, beside = (text.split("\n\n", 1)[0] for text in GUIDE.split("| I want to | HTTP")[1:])
    gallery = "/v1/galleries/{gallery}"
    told = {(method, gallery + path.rstrip("/")) for method, path in asked_in(below)} | set(asked_in(beside))
    assert told == {(method.upper(), path) for path, methods in answered["paths"].items() for method in methods}


def test_every_call_of_the_client_is_named():
    calls = {name for name in vars(Client) if not name.startswith("_")} - {"close", "url"}
    assert calls
    for name in calls:
        assert re.search(rf"(client|`)\.{name}\b", GUIDE), name


def test_limits_are_those_of_the_code():
    others = []
    for _, most, setting in table("## Limits"):
        number, _, unit = most.partition(" ")
        value = int(number) * UNITS[unit]
        if setting:
            assert ServiceSettings.model_fields[setting].default == value, setting
        else:
            others.append(value)
    assert others == [MOST_CROPS, _MOST_IDS, 1000, ID_BYTES, METADATA_BYTES]


def test_links_lead_to_headings():
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-")
        for line in GUIDE.splitlines()
        if line.startswith("#")
    }
    links = set(re.findall(r"\]\(#([\w-]+)\)", GUIDE))
    assert links <= headings
