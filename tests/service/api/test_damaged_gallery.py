"""A gallery whose database is damaged troubles nobody but those who ask for it."""

import logging

import pytest

from service.cli import main
from service.gallery import CorruptError
from service.gallery.embedded import EmbeddedEngine


@pytest.fixture
def data(serve):
    """A data directory with two galleries, of which `broken` has zeros in its database."""
    with serve() as served:
        served.gallery("broken", people=3)
        served.gallery("sound", people=3)
        folder = served.data
    with EmbeddedEngine.open(folder, upkeep=False) as engine:
        path = engine._gallery("broken").path
    for file in path.glob("*.sqlite"):
        content = file.read_bytes()
        file.write_bytes(content[:4096] + bytes(3 * 4096) + content[4 * 4096 :])
    with EmbeddedEngine.open(folder, upkeep=False) as engine, pytest.raises(CorruptError) as error:
        engine.load("broken")
    assert "\n" not in str(error.value)
    return folder


def test_the_others_are_served_and_it_says_what_to_do(serve, data, caplog):
    with caplog.at_level(logging.ERROR), serve(data=data) as served:
        assert served.client.get("/readyz").status_code == 200
        found = served.client.post("/v1/galleries/sound/search", json={"item_id": "p1/0"})
        assert found.json()["results"][0]["id"] == "p1/1"
        asked = served.client.post("/v1/galleries/broken/search", json={"item_id": "p1/0"})
        assert (asked.status_code, asked.json()["type"]) == (503, "index-corrupt")
        told = served.client.get("/v1/galleries").json()
        assert [gallery["name"] for gallery in told["galleries"]] == ["sound"]
        assert [gallery["name"] for gallery in told["damaged"]] == ["broken"]
        assert "restore a snapshot" in told["damaged"][0]["detail"]
        assert 'gallery="broken"' not in served.client.get("/metrics").text
        assert served.client.delete("/v1/galleries/broken").status_code == 204
        assert served.client.get("/v1/galleries").json()["damaged"] == []
    assert "gallery broken cannot be served" in caplog.text


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0


def test_the_commands_list_the_others_and_can_remove_it(data, capsys):
    run("gallery", "list", "--data", str(data))
    out, err = capsys.readouterr()
    assert "sound" in out
    assert "broken: " in err
    assert "is damaged" in err
    run("gallery", "drop", "broken", "--yes", "--data", str(data))
    assert "which is damaged" in capsys.readouterr().out
    run("gallery", "list", "--data", str(data))
    assert "broken" not in capsys.readouterr().err
