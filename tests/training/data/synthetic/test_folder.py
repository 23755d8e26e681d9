import csv
import re

import numpy as np
import pytest
from PIL import Image

from training.data.synthetic import SyntheticSpec, SyntheticSpecError, plan, render, write_folder
from training.data.synthetic import folder as folder_module

SPEC = SyntheticSpec(people=3, cameras=2, seed=9, passes=1, size=(64, 32))


def bytes_below(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic") / "deep" / "people"
    return root, write_folder(SPEC, root)


def test_the_folder_has_market_1501_s_three_parts_and_one_file_a_crop(written):
    root, crops = written
    assert crops == plan(SPEC)
    assert {path.name for path in root.iterdir()} == {
        "bounding_box_train",
        "query",
        "bounding_box_test",
        "viewpoints.csv",
    }
    assert {path.name for path in root.parent.iterdir()} == {"people"}
    for part, split in (("bounding_box_train", "train"), ("query", "query"), ("bounding_box_test", "gallery")):
        names = {path.name for path in (root / part).iterdir()}
        assert names == {crop.name for crop in crops if crop.split == split}
        assert names
        assert all(re.fullmatch(r"\d{4}_c\ds\d_\d{6}_\d{2}\.jpg", name) for name in names)


def test_the_files_decode_to_exactly_the_rendered_crops(written):
    root, crops = written
    for crop in crops[::4]:
        with Image.open(root / crop.path) as picture:
            np.testing.assert_array_equal(np.array(picture), render(SPEC, crop))


def test_viewpoints_are_listed_for_every_file(written):
    root, crops = written
    with (root / "viewpoints.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["viewpoint"]) for row in rows] == [(crop.path, crop.viewpoint) for crop in crops]
    assert all((root / row["path"]).is_file() for row in rows)


def test_equal_specs_write_equal_bytes_even_into_an_empty_folder_that_was_there(written, tmp_path):
    write_folder(SPEC, tmp_path)
    assert bytes_below(tmp_path) == bytes_below(written[0])


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SyntheticSpecError, match="not an empty folder"):
        write_folder(SPEC, tmp_path)
    assert bytes_below(tmp_path) == {"mine.txt": b"mine"}


def test_when_writing_fails_no_folder_is_left_behind(tmp_path, monkeypatch):
    def half(spec, crops, workers):
        return [b"jpeg"]

    monkeypatch.setattr(folder_module, "render_jpegs", half)
    with pytest.raises(ValueError, match="zip"):
        write_folder(SPEC, tmp_path / "people")
    assert list(tmp_path.iterdir()) == []
