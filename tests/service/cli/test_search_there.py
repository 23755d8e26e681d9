"""`vantage search --server` and `vantage index --server`, against a real service."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest
import uvicorn
from PIL import Image

from service.access import KEYS_FILE, KeyStore
from service.api import create_app
from service.settings import ServiceSettings

CROP = "0003_c1s1_000003_00"


@pytest.fixture
def app(bundle, tmp_path, monkeypatch):
    monkeypatch.delenv("VANTAGE_KEY", raising=False)
    return create_app(ServiceSettings(data=tmp_path / "there", model=str(bundle), device="cpu", threads=1))


@pytest.fixture
def url(app):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        app.state.service.settled.wait()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def both(vantage, indexed, bundle, pictures, app, url):
    """The same pictures here and there; runs a search in both places."""
    sent = ("index", pictures, "-g", "g", "--pattern", "market1501", "--store-crops", "--server", url)
    assert vantage(*sent)[0] == 0
    app.state.service.running.engine.settle("g")  # else some neighbour lists would be said to wait

    def run(*options):
        here = vantage("search", "-g", "g", "--model", bundle, "--device", "cpu", *options)
        return here, vantage("search", "-g", "g", "--server", url, *options)

    return run


def test_a_service_s_answer_is_told_in_the_same_words(both, pictures):
    crop = pictures / f"{CROP}.png"
    for options in (
        (crop, "-k", 3, "--rerank", "off"),
        (crop, "-k", 3, "--rerank", "online", "--explain"),
        (crop, pictures / "0003_c2s1_000003_00.png", "-k", 2),
        ("--item", CROP, "-k", 2),
        (crop, "--exclude-camera", "c1", "--person", "0001", "--person", "0003"),
        (crop, "--group-by", "person", "--from", "2024-05-01T00:00:00Z"),
    ):
        here, there = both(*options)
        assert here == there, options
        assert here[0] == 0


def test_json_is_the_service_s_own_answer(both, pictures):
    _, (code, out, _) = both(pictures / f"{CROP}.png", "-k", 1, "--json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["results"][0]["id"], answer["gallery"], answer["query"]["crops"]) == (CROP, "g", 1)


def test_a_montage_shows_the_crops_that_the_service_keeps(both, pictures):
    _, (code, out, _) = both(pictures / f"{CROP}.png", "-k", 3, "--montage", "there.png")
    assert (code, out.splitlines()[-1]) == (0, "wrote there.png")
    both(pictures / f"{CROP}.png", "-k", 3, "--montage", "m.png")
    there = Path("m.png").read_bytes()
    assert there == Path("there.png").read_bytes()
    with Image.open("there.png") as page:
        assert page.format == "PNG"
    both("--item", CROP, "-k", 3, "--montage", "item.png")
    assert Path("item.png").is_file()


def test_mistakes_are_sentences(vantage, url, pictures, bundle):
    crop = pictures / f"{CROP}.png"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    Path("bad.jpg").write_bytes(b"no picture")
    for arguments, expected, sentence in (
        ((crop, "-g", "none", "--server", url), 1, "there is no gallery 'none'"),
        (("lost.jpg", "-g", "g", "--server", url), 1, "lost.jpg cannot be read: No such file"),
        (("bad.jpg", "-g", "g", "--server", url), 1, "there is no gallery 'g'"),
        ((crop, "-g", "g", "--server", "ftp://x"), 1, "the service's address is 'ftp://x'"),
        ((crop, "-g", "g", "--server", nobody), 1, "does not answer"),
        ((crop, "-g", "g", "--server", url, "--model", bundle), 2, "leave it out"),
    ):
        code, out, err = vantage("search", *arguments)
        assert (code, out) == (expected, ""), arguments
        assert sentence in err
        assert "Traceback" not in err


def test_a_key_is_sent(both, vantage, app, tmp_path, pictures, url, monkeypatch):
    store = KeyStore(tmp_path / "there" / KEYS_FILE)
    _, secret = store.create(["search"], name="test")
    store.close()
    app.state.service.running.keys.list()  # looks at the file at once
    arguments = ("search", pictures / f"{CROP}.png", "-g", "g", "--server", url)
    code, _, err = vantage(*arguments)
    assert code == 1
    assert "unauthenticated" in err
    assert vantage(*arguments, "--key", secret)[0] == 0
    monkeypatch.setenv("VANTAGE_KEY", secret)
    assert vantage(*arguments)[0] == 0
