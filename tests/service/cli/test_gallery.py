import csv
import json
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

IDS = [f"{person:04}_c{camera}s1_{person:06}_00" for person in range(1, 5) for camera in (1, 2)]


def galleries(vantage):
    return [info["name"] for info in json.loads(vantage("gallery", "list", "--json")[1])]


def test_list_and_info_say_what_is_there(vantage, indexed):
    code, out, err = vantage("gallery", "list")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split()[:5] == ["g", "8", "matrix", "flat", "online"]
    code, out, _ = vantage("gallery", "info", "g")
    assert code == 0
    for words in ("matrix (", "6 numbers", "k1 20, k2 6, lambda 0.3", "kept", "never"):
        assert words in out
    facts = json.loads(vantage("gallery", "info", "g", "--json")[1])
    assert (facts["count"], facts["settings"]["store_crops"]) == (8, True)
    assert facts["created_at"].endswith("Z")


def test_without_a_data_directory_there_is_a_sentence_and_none_is_made(vantage):
    for command in (("list",), ("info", "g"), ("drop", "g", "--yes"), ("verify", "g"), ("snapshots",)):
        code, out, err = vantage("gallery", *command)
        assert (code, out) == (1, "")
        assert "there is no data directory vantage-data" in err
    assert not Path("vantage-data").exists()


def test_create_makes_an_empty_gallery_with_what_was_asked_for(vantage, bundle):
    options = ("--index", "hnsw", "--rerank", "local", "--k1", 10, "--k2", 3, "--lambda", 0.5, "--ttl", "30d")
    code, out, err = vantage("gallery", "create", "g", "--model", bundle, *options, "--store-crops", "--deny-erased")
    assert (code, out, err) == (0, "made gallery g for matrix\n", "")
    settings = json.loads(vantage("gallery", "info", "g", "--json")[1])["settings"]
    assert (settings["index"], settings["rerank"], settings["k1"], settings["k2"]) == ("hnsw", "local", 10, 3)
    assert (settings["lam"], settings["ttl_seconds"]) == (0.5, 30 * 86400)
    assert settings["store_crops"]
    assert settings["deny_erased"]
    code, _, err = vantage("gallery", "create", "g", "--model", bundle)
    assert code == 1
    assert "Traceback" not in err
    for ttl in ("30", "0d", "soon"):
        assert vantage("gallery", "create", "h", "--model", bundle, "--ttl", ttl)[0] == 2


def test_an_embedded_gallery_needs_no_refresh_and_says_so(vantage, indexed):
    code, out, err = vantage("gallery", "refresh", "g")
    assert (code, out) == (1, "")
    assert "gallery 'g' keeps itself up to date" in err


def test_refresh_tells_what_it_did(vantage, monkeypatch):
    @dataclass
    class Done:
        gallery: str
        purged: int = 1
        items: int = 2000
        added: int = 30
        removed: int = 4
        noted: int = 500

    engine = SimpleNamespace(refresh=Done)
    monkeypatch.setattr("service.cli.gallery.open_engine", lambda data: nullcontext(engine))
    assert vantage("gallery", "refresh", "lobby")[:2] == (
        0,
        "lobby: 2,000 items, 30 new and 4 gone since the last time; 500 rows written, 1 expired items deleted\n",
    )
    assert json.loads(vantage("gallery", "refresh", "lobby", "--json")[1])["noted"] == 500


@pytest.mark.parametrize("command", ["drop", "compact"])
def test_nothing_is_destroyed_where_nobody_can_be_asked(vantage, indexed, command, monkeypatch):
    code, out, err = vantage("gallery", command, "g")
    assert (code, out) == (2, "")
    assert "add --yes" in err
    assert galleries(vantage) == ["g"]


def test_drop_asks_on_a_terminal(vantage, indexed, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    answers = iter(["n", "y"])
    monkeypatch.setattr(
        "typer.confirm", lambda question, **_: next(answers) == "y" or (_ for _ in ()).throw(SystemExit(1))
    )
    assert vantage("gallery", "drop", "g")[0] == 1
    assert galleries(vantage) == ["g"]
    assert vantage("gallery", "drop", "g")[0] == 0
    assert galleries(vantage) == []


def test_drop_with_yes_removes_the_gallery(vantage, indexed):
    assert vantage("gallery", "drop", "g", "--yes")[:2] == (0, "removed gallery g with 8 items\n")
    assert galleries(vantage) == []
    assert vantage("gallery", "drop", "g", "--yes")[0] == 1


def test_rename_gives_another_name(vantage, indexed, bundle):
    assert vantage("gallery", "rename", "g", "h")[0] == 0
    assert galleries(vantage) == ["h"]
    vantage("gallery", "create", "g", "--model", bundle)
    assert vantage("gallery", "rename", "h", "g")[0] == 1
    assert vantage("gallery", "rename", "h", "g", "--replace")[0] == 0
    assert galleries(vantage) == ["g"]
    assert json.loads(vantage("gallery", "info", "g", "--json")[1])["count"] == 8


def test_verify_says_that_all_is_sound_or_what_is_not(vantage, indexed):
    code, out, err = vantage("gallery", "verify", "g")
    assert (code, err) == (0, "")
    assert out.endswith("All is sound.\n")
    assert json.loads(vantage("gallery", "verify", "g", "--json")[1])["sound"]
    [crop, *_] = [path for path in indexed.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x89PNG"]
    crop.chmod(0o644)
    crop.write_bytes(b"something else")
    code, out, _ = vantage("gallery", "verify", "g")
    assert code == 4
    assert "All is sound" not in out
    report = json.loads(vantage("gallery", "verify", "g", "--json")[1])
    assert not report["sound"]
    assert report["findings"]


def test_delete_prints_a_receipt(vantage, indexed):
    code, out, _ = vantage("gallery", "delete", "g", "--camera", "c1", "--person", "0001", "--dry-run")
    assert code == 0
    assert "would delete" in out
    assert IDS[0] in out
    receipt = json.loads(vantage("gallery", "delete", "g", "--id", IDS[0], "--id", "nobody", "--json")[1])
    assert (receipt["ids"], receipt["missing"], receipt["dry_run"]) == ([IDS[0]], ["nobody"], False)
    assert receipt["removed"]["database"] == 1
    code, out, _ = vantage("gallery", "delete", "g", "--camera", "c2")
    assert "4 items" in out
    assert json.loads(vantage("gallery", "info", "g", "--json")[1])["count"] == 3
    code, out, _ = vantage("gallery", "compact", "g", "--yes")
    assert code == 0
    assert "nothing is left of 5 deleted items" in out


def test_delete_wants_ids_or_conditions(vantage, indexed):
    for options in ((), ("--id", "x", "--camera", "c1")):
        code, _, err = vantage("gallery", "delete", "g", *options)
        assert code == 2
        assert "give either ids" in err
    code, _, err = vantage("gallery", "delete", "g", "--before", "2024-05-01")
    assert code == 1
    assert "without a time zone" in err


def test_a_snapshot_brings_a_gallery_back(vantage, indexed):
    assert vantage("gallery", "snapshots")[1] == "There is no snapshot in vantage-data.\n"
    made = json.loads(vantage("gallery", "snapshot", "g", "--json")[1])
    assert made["name"] in vantage("gallery", "snapshots", "g")[1]
    vantage("gallery", "delete", "g", "--camera", "c1")
    assert vantage("gallery", "restore", made["name"])[0] == 1
    assert vantage("gallery", "restore", made["name"], "--as", "h")[0] == 0
    assert vantage("gallery", "restore", made["name"], "--replace")[1] == "restored gallery g: 8 items\n"
    assert vantage("gallery", "restore", made["path"], "--data", "fresh")[0] == 0
    assert json.loads(vantage("gallery", "info", "g", "--data", "fresh", "--json")[1])["count"] == 8
    assert vantage("gallery", "drop-snapshot", made["name"])[0] == 2
    assert vantage("gallery", "drop-snapshot", made["name"], "--yes")[0] == 0
    assert json.loads(vantage("gallery", "snapshots", "--json")[1]) == []
    assert vantage("gallery", "restore", made["name"])[0] == 1


def test_every_form_of_export_holds_every_vector_and_fact(vantage, indexed):
    for suffix in (".npz", ".jsonl", ".csv"):
        code, out, err = vantage("gallery", "export", "g", "--out", f"g{suffix}")
        assert (code, out, err) == (0, f"wrote 8 items of gallery g to g{suffix}\n", "")
    with np.load("g.npz", allow_pickle=False) as arrays:
        assert arrays["id"].tolist() == IDS
        assert arrays["vector"].shape == (8, 6)
        assert arrays["person"].tolist() == [id[:4] for id in IDS]
        assert arrays["captured_at"].tolist() == [""] * 8
        assert np.isnan(arrays["viewpoint"]).all()
        vectors = arrays["vector"]
    lines = [json.loads(line) for line in Path("g.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == IDS
    assert lines[0]["metadata"] == {"frame": 1}
    assert lines[0]["captured_at"] is None
    np.testing.assert_array_equal(np.array([line["vector"] for line in lines], np.float32), vectors)
    with Path("g.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_array_equal(np.array([json.loads(row["vector"]) for row in rows], np.float32), vectors)
    assert (rows[2]["camera"], rows[2]["quality"]) == ("c1", "")
    assert not list(Path().glob(".g*"))
    assert vantage("gallery", "export", "g", "--out", "g.xlsx")[0] == 2
    assert vantage("gallery", "export", "g", "--out", "none/g.csv")[0] == 2


def test_reembed_exchanges_the_model(vantage, indexed, make_bundle, bundle):
    other = make_bundle("other", seed=9)
    code, out, err = vantage("gallery", "reembed", "g", "--model", other, "--decoders", 0)
    assert (code, out, err) == (0, "gallery g now holds 8 items of other\n", "")
    assert galleries(vantage) == ["g"]
    assert vantage("gallery", "reembed", "g", "--model", other, "--decoders", 0)[0] == 1
    vantage("gallery", "create", "bare", "--model", bundle)
    code, _, err = vantage("gallery", "reembed", "bare", "--model", other)
    assert code == 1
    assert "gallery 'bare' keeps no crops" in err


def test_help_of_every_command_names_its_options(vantage):
    commands = ["list", "info", "create", "drop", "rename", "verify", "compact", "delete", "reembed", "export"]
    commands += ["snapshot", "snapshots", "restore", "drop-snapshot"]
    _, out, _ = vantage("gallery", "--help")
    for command in commands:
        assert f" {command} " in out
        code, shown, _ = vantage("gallery", command, "--help")
        assert code == 0
        assert "--data" in shown
        assert "--json" in shown
    assert "(?P<camera>" in vantage("index", "--help")[1]
