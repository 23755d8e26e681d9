import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.cli.montage import Tile, draw_montage

CROP = "0003_c1s1_000003_00"


@pytest.fixture
def search(vantage, indexed, bundle, pictures):
    def run(*options, crop=True):
        where = (pictures / f"{CROP}.png",) if crop else ()
        return vantage("search", *where, "-g", "g", "--model", bundle, "--device", "cpu", *options)

    return run


def test_a_crop_finds_its_person(search):
    code, out, err = search("-k", 3, "--rerank", "off")
    assert (code, err) == (0, "")
    header, first, second, _, remarks = out.splitlines()
    assert header.split() == ["rank", "item", "score", "verdict", "camera", "person"]
    assert first.split() == ["1", CROP, "1.0000", "likely", "c1", "0003"]
    assert second.split()[1] == "0003_c2s1_000003_00"
    assert remarks == "Not re-ranked: off."


def test_json_holds_the_whole_answer(search):
    facts = json.loads(search("-k", 2, "--rerank", "online", "--explain", "--json")[1])
    assert [hit["item"]["person"] for hit in facts["hits"]] == ["0003", "0003"]
    assert facts["reranking"]["mode"] == "online"
    assert facts["hits"][0]["explanation"]["shared"]
    assert facts["hits"][0]["verdict"] == "likely"
    assert facts["calibration"]["likely_from"] == 0.95
    assert facts["calibration"]["unlikely_below"] == 0.6
    assert facts["no_verdict_because"] is None
    assert "vector" not in facts["hits"][0]["item"]


def test_conditions_and_groups_hold(search):
    facts = json.loads(search("--exclude-camera", "c1", "--json")[1])
    assert {hit["item"]["camera"] for hit in facts["hits"]} == {"c2"}
    assert (len(facts["hits"]), facts["exhausted"], facts["allowed"]) == (4, True, 4)
    facts = json.loads(search("--camera", "c1", "--person", "0001", "--person", "0002", "--json")[1])
    assert {hit["item"]["id"][:7] for hit in facts["hits"]} == {"0001_c1", "0002_c1"}
    facts = json.loads(search("--group-by", "person", "--json")[1])
    assert sorted(hit["item"]["person"] for hit in facts["hits"]) == ["0001", "0002", "0003", "0004"]
    assert json.loads(search("--from", "2024-05-01T00:00:00Z", "--json")[1])["hits"] == []
    _, out, _ = search("--from", "2024-05-01T00:00:00Z")
    assert out.startswith("0 of 10 results: no more items than these meet the request. The conditions allow 0 items.")


def test_several_crops_are_one_person(vantage, indexed, bundle, pictures):
    crops = sorted(pictures.glob("0002_*"))
    _, out, _ = vantage("search", *crops, "-g", "g", "--model", bundle, "-k", 2, "--rerank", "off", "--json")
    hits = json.loads(out)["hits"]
    assert {hit["item"]["person"] for hit in hits} == {"0002"}
    assert all(0.9 < hit["score"] < 0.99999 for hit in hits)  # between the two, and neither of them


def test_an_item_finds_others_of_its_person_and_needs_no_model(vantage, indexed, search):
    code, out, _ = vantage("search", "--item", CROP, "-g", "g", "-k", 1)
    assert code == 0
    assert "0003_c2s1_000003_00" in out
    assert "No verdicts: the gallery's model is not at hand: name its folder with --model." in out
    assert "likely" in search("--item", CROP, "-k", 1, crop=False)[1]


def test_explanations_name_the_neighbours(search):
    _, out, _ = search("-k", 2, "--rerank", "online", "--explain")
    assert "1: among each other's nearest; both lean on 0003_c" in out


def test_no_calibration_is_said(vantage, make_bundle, pictures):
    plain = make_bundle("plain", calibrated=False, seed=3)
    vantage("index", pictures, "-g", "p", "--model", plain, "--decoders", 0)
    _, out, _ = vantage("search", pictures / f"{CROP}.png", "-g", "p", "--model", plain)
    assert out.rstrip().endswith("No verdicts: it was never measured.")


def test_a_montage_is_a_picture_of_probe_and_results(search, vantage):
    code, out, _ = search("-k", 3, "--montage", "m.png")
    assert code == 0
    assert out.endswith("wrote m.png\n")
    with Image.open("m.png") as page:
        assert page.format == "PNG"
    assert search("-k", 3, "--montage", "m.jpg")[0] == 0
    code, _, err = search("--montage", "m.gif")
    assert code == 1
    assert "ends in none of .png, .jpg" in err
    assert search("--montage", "none/m.png")[0] == 1


def test_the_montage_shows_each_picture_in_its_place_and_its_frame():
    red = Image.new("RGB", (64, 128), (200, 0, 0))
    page = draw_montage(
        [Tile(red, "probe")],
        [
            Tile(red, "1", ("x",), "likely"),
            Tile(None, "2", ("y" * 99,)),
            Tile(red.resize((300, 30)), "3", (), "unsure"),
        ],
        "PNG",
    )
    pixels = np.asarray(Image.open(io.BytesIO(page)).convert("RGB")).astype(int)
    reds = (pixels == (200, 0, 0)).all(axis=2)
    assert reds.sum() == 2 * 128 * 256 + 128 * 13  # two whole tiles, and one that keeps its shape
    for frame in ((40, 90, 190), (34, 139, 84), (214, 150, 22), (176, 176, 180)):
        assert (pixels == frame).all(axis=2).sum() >= 3 * 2 * (128 + 256)
    assert (pixels == (214, 214, 212)).all(axis=2).sum() > 0.9 * 128 * 256  # grey where there is no picture


def test_mistakes_are_sentences(vantage, indexed, bundle, pictures, make_bundle):
    Path("bad.jpg").write_bytes(b"no picture")
    crop = pictures / f"{CROP}.png"
    model = ("--model", bundle)
    for arguments, expected, sentence in (
        ((crop, "-g", "none", *model), 1, "none"),
        (("-g", "g", *model), 2, "give either pictures"),
        ((crop, "-g", "g", "--item", "x", *model), 2, "give either pictures"),
        (("bad.jpg", "-g", "g", *model), 1, "bad.jpg: the file begins with 'no picture'"),
        (("lost.jpg", "-g", "g", *model), 1, "lost.jpg cannot be read: No such file"),
        ((".", "-g", "g", *model), 1, ". cannot be read: Is a directory"),
        ((crop, "-g", "g"), 1, "name its folder with --model"),
        ((crop, "-g", "g", "--model", make_bundle("other", seed=7)), 1, "vantage gallery reembed g"),
        (("--item", "nobody", "-g", "g", *model), 1, "nobody"),
        ((crop, "-g", "g", "-k", 0, *model), 2, "-k"),
        ((crop, "-g", "g", "--from", "noon", *model), 1, "a time is 'noon'"),
        ((crop, "-g", "g", "--viewpoint", "above", *model), 1, "a viewpoint is 'above'"),
    ):
        code, out, err = vantage("search", *arguments)
        assert (code, out) == (expected, ""), arguments
        assert sentence in err
        assert "Traceback" not in err


def test_a_narrow_picture_stands_in_the_middle_of_its_place():
    page = draw_montage([], [Tile(Image.new("RGB", (32, 256), (200, 0, 0)), "")], "PNG")
    pixels = np.asarray(Image.open(io.BytesIO(page)).convert("RGB"))
    columns = np.flatnonzero((pixels == (200, 0, 0)).all(axis=2).any(axis=0))
    assert (columns[0], columns[-1] + 1) == (16 + 48, 16 + 80)
