import importlib.util
import json
import os
import shutil
import signal
from dataclasses import dataclass

import pytest

from service.gallery.embedded import EmbeddedEngine

URI = os.environ.get("VANTAGE_TEST_MILVUS_URI")
EXTRAS = all(importlib.util.find_spec(name) is not None for name in ("pymilvus", "sqlalchemy"))
ON_MILVUS = pytest.mark.skipif(URI is None, reason="needs a Milvus server: make test-milvus starts one")


@dataclass(frozen=True)
class Copied:
    gallery: str
    source: str = "g"
    change: int = 7
    items: int = 2000
    added: int = 30
    removed: int = 4
    unchanged: int = 1970
    verified: int = 2000
    pictures: int = 1500
    first: bool = False
    up_to_date: bool = False
    seconds: float = 1.25


class There:
    """A server that takes what it is given, and says so."""

    def __init__(self):
        self.asked = []
        self.checked = False
        self.result = {}
        self.on_block = lambda: None

    def check(self):
        self.checked = True

    def close(self):
        pass

    def copy_in(self, snapshot, *, name, index, progress):
        assert (snapshot / "manifest.json").is_file()
        self.asked.append((snapshot, name, index))
        progress("copied", 1, 2)
        self.on_block()
        progress("copied", 2, 2)
        return Copied(name or "g", **self.result)


@pytest.fixture(autouse=True)
def no_settings_of_the_tests(monkeypatch):
    for name in ("VANTAGE_TEST_MILVUS_URI", "VANTAGE_TEST_MILVUS_SERVER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def there(monkeypatch):
    monkeypatch.setenv("VANTAGE_MILVUS_URI", "http://milvus:19530")
    server, settings = There(), []
    monkeypatch.setattr("service.milvus.open_milvus", lambda found: settings.append(found) or server)
    server.settings = settings
    return server


def taken(indexed):
    with EmbeddedEngine.open(indexed, upkeep=False) as engine:
        return engine.snapshot("g")


def test_without_the_address_of_a_server_there_is_a_sentence(vantage, indexed):
    code, out, err = vantage("gallery", "copy", "g", "--to", "milvus")
    assert (code, out) == (1, "")
    assert "nothing says where Milvus is: set VANTAGE_MILVUS_URI, as http://HOST:19530, and VANTAGE_DATABASE" in err
    assert vantage("gallery", "copy", "g")[0] == 2
    assert vantage("gallery", "copy", "g", "--to", "elsewhere")[0] == 2


def test_a_snapshot_is_made_copied_and_removed(vantage, indexed, there):
    code, out, err = vantage("gallery", "copy", "g", "--to", "milvus")
    assert code == 0
    assert out == (
        "gallery g on Milvus is up to date again: 30 items written, 4 removed, 1,970 unchanged; 2,000 items and 1,500 "
        "pictures read back and right (1.2 s)\n"
    )
    assert "VANTAGE_DATABASE is not set, so that only services of the directory" in err
    assert err.endswith("next, for re-ranking to know neighbours: VANTAGE_GALLERY=milvus vantage gallery refresh g\n")
    assert there.checked
    assert there.settings[0].gallery == "milvus"
    [(path, name, index)] = there.asked
    assert (path.parent, name, index) == (indexed / "snapshots", None, None)
    assert list((indexed / "snapshots").iterdir()) == []


def test_where_the_database_is_named_nothing_is_to_be_said_of_it(vantage, indexed, there, monkeypatch):
    monkeypatch.setenv("VANTAGE_DATABASE", "sqlite:////tmp/shared.sqlite")
    assert "VANTAGE_DATABASE" not in vantage("gallery", "copy", "g", "--to", "milvus")[2]


def test_a_snapshot_that_is_named_stays_and_wants_no_lock(vantage, indexed, there, tmp_path):
    name = taken(indexed).name
    away = shutil.copytree(indexed / "snapshots" / name, tmp_path / "away")
    there.result = {"first": True}
    with EmbeddedEngine.open(indexed, upkeep=False):
        options = ("--as", "h", "--index", "ivf", "--snapshot")
        code, out, _ = vantage("gallery", "copy", "g", "--to", "milvus", *options, name)
        assert (code, out.partition(":")[0]) == (0, "copied gallery g to h on Milvus")
        facts = json.loads(vantage("gallery", "copy", "g", "--to", "milvus", "--json", *options, away)[1])
    assert (facts["gallery"], facts["items"], facts["first"], facts["stopped"]) == ("h", 2000, True, False)
    assert there.asked == [(indexed / "snapshots" / name, "h", "ivf"), (away, "h", "ivf")]
    assert (indexed / "snapshots" / name).is_dir()


def test_where_nothing_is_new_it_says_so(vantage, indexed, there):
    there.result = {"up_to_date": True}
    said = "gallery g on Milvus is up to date: 2,000 items, nothing is new\n"
    assert vantage("gallery", "copy", "g", "--to", "milvus") == (0, said, "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_it_between_two_blocks(vantage, indexed, there, number, code):
    there.on_block = lambda: os.kill(os.getpid(), number)
    told = vantage("gallery", "copy", "g", "--to", "milvus")
    assert told == (code, "", "stopped: run the same command again to go on\n")
    assert list((indexed / "snapshots").iterdir()) == []
    facts = json.loads(vantage("gallery", "copy", "g", "--to", "milvus", "--json")[1])
    assert facts == {"gallery": "g", "stopped": True}


def test_what_cannot_be_copied_is_refused_in_a_sentence(vantage, indexed, there, bundle):
    name = taken(indexed).name
    for arguments, sentence in (
        (("g", "--snapshot", "none"), f"there is no snapshot 'none'; there are: {name}"),
        (("h", "--snapshot", name), "is of gallery 'g': copy that, and add --as h if it is to be called so"),
        (("h",), "there is no gallery 'h'; there are: g"),
        (("g", "--data", "nowhere"), "there is no data directory nowhere"),
        (("g", "--data", "nowhere", "--snapshot", "x"), "there is no data directory nowhere"),
    ):
        code, out, err = vantage("gallery", "copy", "--to", "milvus", *arguments)
        assert (code, out) == (1, "")
        assert sentence in err
    with EmbeddedEngine.open(indexed, upkeep=False):
        code, out, err = vantage("gallery", "copy", "g", "--to", "milvus")
    assert (code, out) == (1, "")
    assert "vantage-data is in use by process" in err
    assert "let that make a snapshot, with POST /v1/galleries/g/snapshots, and name it with --snapshot" in err
    assert there.asked == []


@ON_MILVUS
@pytest.mark.skipif(not EXTRAS, reason="needs the extras milvus and sql")
def test_a_gallery_comes_over_and_later_what_has_changed(vantage, indexed, monkeypatch):
    monkeypatch.setenv("VANTAGE_MILVUS_URI", URI or "")
    code, out, _ = vantage("gallery", "copy", "g", "--to", "milvus")
    assert code == 0
    assert out.startswith("copied gallery g to g on Milvus: 8 items written, 0 removed, 0 unchanged; 8 items and 8 ")
    assert vantage("gallery", "copy", "g", "--to", "milvus")[1:] == (
        "gallery g on Milvus is up to date: 8 items, nothing is new\n",
        "",
    )
    vantage("gallery", "delete", "g", "--camera", "c1", "--person", "0001")
    name = taken(indexed).name
    facts = json.loads(vantage("gallery", "copy", "g", "--to", "milvus", "--snapshot", name, "--json")[1])
    assert (facts["items"], facts["removed"], facts["verified"], facts["pictures"]) == (7, 1, 7, 7)
    monkeypatch.setenv("VANTAGE_GALLERY", "milvus")
    assert vantage("gallery", "refresh", "g")[1].startswith("g: 7 items, 7 new")
    assert vantage("gallery", "verify", "g")[0] == 0
    assert vantage("gallery", "drop", "g", "--yes")[0] == 0
