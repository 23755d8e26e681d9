import pytest

from training.data import FORMATS, DataError, load_dataset, parse_spec


def test_options_follow_the_place_after_commas():
    assert parse_spec("folder:/a/b,camera=_c(\\d)_,split=test") == (
        "folder",
        "/a/b",
        {"camera": "_c(\\d)_", "split": "test"},
    )
    assert parse_spec("market1501:/a/b") == ("market1501", "/a/b", {})
    assert parse_spec("synthetic:people=3,size=64x32") == ("synthetic", "", {"people": "3", "size": "64x32"})
    assert parse_spec("synthetic:") == ("synthetic", "", {})


def test_a_comma_before_anything_but_a_key_belongs_to_the_text():
    assert parse_spec("folder:/a,b/c,camera=c\\d{1,2}") == ("folder", "/a,b/c", {"camera": "c\\d{1,2}"})


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("market1510:/a", r"format 'market1510' \(did you mean market1501\?\): known are market1501, dukemtmc"),
        ("/data/market", r"starts with the format's name and a colon"),
        ("market1501", "write market1501:ROOT"),
        ("market1501:/a,viewpoint=f", r"no option viewpoint \(did you mean viewpoints\?\): known are viewpoints"),
        ("market1501:/a,viewpoints=f,viewpoints=g", "twice"),
        ("market1501:/a,viewpoints=", "viewpoints has no value"),
    ],
)
def test_a_spec_that_cannot_be_understood_is_a_sentence(spec, sentence):
    with pytest.raises(DataError, match=sentence):
        parse_spec(spec)


def test_every_format_shows_how_it_is_written():
    for name, form in FORMATS.items():
        assert form.name == name
        assert form.syntax.startswith(f"{name}:")


def test_viewpoints_are_attached_by_any_format_that_takes_them(make_market, tmp_path):
    root = make_market()
    views = tmp_path / "views.csv"
    views.write_text("path,viewpoint\nquery/0001_c1s1_001051_00.jpg,back\n")
    dataset = load_dataset(f"market1501:{root},viewpoints={views}")
    assert dataset.query.views.tolist() == [2]
    assert dataset.train.without_viewpoint == 3
