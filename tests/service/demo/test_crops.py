"""What lies in service/demo: that it is what its README says, and that no real person is in it."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.demo import GALLERY_LIST, QUERIES
from training.data.synthetic import SyntheticSpec, plan, render_jpeg

FOLDER = GALLERY_LIST.parent
SPEC = SyntheticSpec(
    people=100, cameras=6, seed=0, train_fraction=0.6, seen_probability=0.5, sibling_share=0.0
)  # as in the README


@pytest.fixture(scope="module")
def rows():
    with GALLERY_LIST.open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def crops():
    return [crop for crop in plan(SPEC) if crop.split != "train"]


def test_forty_people_pass_six_cameras_and_are_seen_from_all_sides(rows):
    assert len(rows) == 464
    assert len({row["person"] for row in rows}) == 40
    assert {row["camera"] for row in rows} == {"c1", "c2", "c3", "c4", "c5", "c6"}
    assert {row["viewpoint"] for row in rows} == {"front", "side", "back"}


def test_the_list_names_every_picture_once(rows):
    assert sorted(row["path"] for row in rows) == sorted(f"gallery/{path.name}" for path in FOLDER.glob("gallery/*"))
    assert len({row["id"] for row in rows}) == len(rows)


def test_of_a_querys_tracklet_nothing_is_in_the_gallery_but_its_person_is(rows):
    assert len(QUERIES) == 12
    held = {(FOLDER / row["path"]).read_bytes() for row in rows}
    for query in QUERIES:
        assert query.read_bytes() not in held
        tracklet = query.name.removeprefix("demo-")[:9]
        assert tracklet not in {row["tracklet"] for row in rows}
        assert tracklet[:4] in {row["person"] for row in rows}


def test_all_are_small_jpegs_without_metadata():
    paths = [*FOLDER.glob("gallery/*"), *FOLDER.glob("queries/*")]
    assert sum(path.stat().st_size for path in paths) < 1_000_000
    for path in paths:
        with Image.open(path) as picture:
            assert (picture.format, picture.size) == ("JPEG", (64, 128))
            assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_the_list_says_of_each_crop_what_the_spec_says(rows, crops):
    eight = datetime(2026, 3, 2, 8, tzinfo=UTC)
    left_out = {query.name.removeprefix("demo-")[:9] for query in QUERIES}
    expected = [
        {
            "path": f"gallery/demo-{crop.name}",
            "id": "demo-" + crop.name.removesuffix(".jpg"),
            "camera": crop.camera,
            "captured_at": (eight + timedelta(seconds=crop.captured_at)).isoformat().replace("+00:00", "Z"),
            "person": crop.person,
            "tracklet": crop.tracklet,
            "viewpoint": crop.viewpoint,
        }
        for crop in crops
        if crop.tracklet not in left_out
    ]
    assert rows == expected


def test_the_queries_were_taken_by_the_rule_and_not_for_their_answers(crops):
    chosen = []
    for person in sorted({crop.person for crop in crops})[::3][:12]:
        own = [crop for crop in crops if crop.person == person]
        last = max(own, key=lambda crop: crop.captured_at).tracklet
        chosen.append(min((crop for crop in own if crop.tracklet == last), key=lambda crop: crop.captured_at).name)
    assert chosen == [query.name.removeprefix("demo-") for query in QUERIES]


def test_the_pictures_are_what_our_renderer_makes(crops):
    by_name = {crop.name: crop for crop in crops}
    gallery = sorted(FOLDER.glob("gallery/*"))
    for path in (QUERIES[0], gallery[0], gallery[-1]):
        rendered = Image.open(io.BytesIO(render_jpeg(SPEC, by_name[path.name.removeprefix("demo-")])))
        with Image.open(path) as kept:
            difference = np.abs(np.asarray(kept, np.int16) - np.asarray(rendered, np.int16))
        assert difference.mean() < 1, path  # another libjpeg may round otherwise


def test_the_readme_says_that_nobody_is_shown_and_how_to_make_them_again():
    text = Path(FOLDER / "README.md").read_text()
    assert "Nobody is shown" in text
    assert "Apache-2.0" in text
    assert "seed=0,seen_probability=0.5,sibling_share=0,train_fraction=0.6" in text
