import copyreg
import pickle
import subprocess

import pytest

from training.data import ViewpointError, attach_viewpoints, load_dataset, read_viewpoints

PUBLISHED = {
    "0002_c1s1_000451_03.jpg": (0, "front_side"),
    "0002_c2s1_000452_01.jpg": (1, "noise"),
    "0001_c1s1_001051_00.jpg": (2, "back"),
}


@pytest.fixture
def written(tmp_path):
    def write(content, name="map.pkl", protocol=3):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol=protocol))
        return path

    return write


@pytest.mark.parametrize("protocol", [0, 2, 3, 5])
def test_a_published_pickle_gives_the_three_viewpoints(written, make_market, protocol):
    dataset = attach_viewpoints(
        load_dataset(f"market1501:{make_market()}"), read_viewpoints(written(PUBLISHED, protocol=protocol))
    )
    assert dataset.train.views.tolist() == [0, 1, -1]
    assert dataset.query.views.tolist() == [2]
    assert dataset.gallery.without_viewpoint == 4


class Burglar:
    """What a malicious pickle does: it names a function, to be called while it is read."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return subprocess.check_call, (["touch", str(self.target)],)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_pickle_is_refused_and_does_not_run(written, tmp_path, protocol):
    trace = tmp_path / "trace"
    content = dict(PUBLISHED) | {"x.jpg": Burglar(trace)}
    pickle.loads(pickle.dumps(content, protocol))
    assert trace.exists()  # it does bite whoever reads it plainly
    trace.unlink()
    with pytest.raises(ViewpointError, match=r"refused: it wants to run (subprocess|commands)\.check_call"):
        read_viewpoints(written(content, protocol=protocol))
    assert not trace.exists()


def test_no_class_at_all_is_admitted_not_even_by_its_number(written):
    with pytest.raises(ViewpointError, match=r"wants to run __builtin__\.set"):
        read_viewpoints(written({"x.jpg": {1, 2}}, protocol=2))
    copyreg.add_extension("subprocess", "check_call", 0x12345)
    try:
        registered = pickle.dumps(subprocess.check_call, 2)
        with pytest.raises(ViewpointError, match=r"wants to run (subprocess|commands)\.check_call"):
            read_viewpoints(written(registered))
    finally:
        copyreg.remove_extension("subprocess", "check_call", 0x12345)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (["x.jpg"], "holds a list; expected a dict"),
        ({"x.jpg": (3, "left")}, r"maps 'x\.jpg' to \(3, 'left'\)"),
        ({"x.jpg": (0, "back")}, r"to \(0, 'back'\)"),
        ({"x.jpg": 0}, "maps 'x.jpg' to 0"),
        ({5: (0, "front")}, "maps 5 to"),
        ({"front": ["x.jpg"]}, "the other way round: take"),
        ({}, "names no picture"),
        (pickle.dumps(PUBLISHED)[:-20], "is not a whole pickle"),
        (b"", "is not a whole pickle"),
        (b"version https://git-lfs.example/spec\n", "is not a whole pickle"),
    ],
)
def test_anything_else_in_a_pickle_is_a_sentence(written, content, sentence):
    with pytest.raises(ViewpointError, match=sentence):
        read_viewpoints(written(content))


def test_a_picture_is_found_under_either_of_its_aliases(written, make_market):
    plain, doubled = "1488_c1s6_023021_00.jpg", "1488_c1s6_023021_00.jpg.jpg"
    root = make_market()
    (root / "query" / "0001_c1s1_001051_00.jpg").rename(root / "query" / doubled)
    (root / "bounding_box_test" / "0001_c1s1_002301_00.jpg").rename(root / "bounding_box_test" / plain)
    dataset = load_dataset(f"market1501:{root}")
    for entries in ({plain: (2, "back")}, {doubled: (2, "back")}, {plain: (2, "back"), doubled: (2, "back_side")}):
        labelled = attach_viewpoints(dataset, read_viewpoints(written(entries)))
        assert [p.viewpoint for p in labelled.query] == ["back"]
        assert labelled.gallery.without_viewpoint == 3


def test_aliases_that_contradict_each_other_are_refused(written):
    with pytest.raises(ViewpointError, match="two viewpoints, front and back"):
        read_viewpoints(written({"a.jpg": (0, "front"), "a.jpg.jpg": (2, "back")}))


def test_a_csv_names_files_by_path_or_by_name(tmp_path, make_market):
    file = tmp_path / "views.csv"
    file.write_text(
        "path,viewpoint\nbounding_box_test/0001_c1s1_002301_00.jpg,side\n0001_c1s1_001051_00.jpg,front\n"
        "./bounding_box_train\\0002_c1s1_000451_03.jpg,back\n"
    )
    dataset = attach_viewpoints(load_dataset(f"market1501:{make_market()}"), read_viewpoints(file))
    assert [p.viewpoint for p in dataset.gallery] == [None, None, "side", None]
    assert [p.viewpoint for p in dataset.query] == ["front"]
    assert [p.viewpoint for p in dataset.train] == ["back", None, None]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,view\na.jpg,front\n", "must name the columns path and viewpoint"),
        ("path,viewpoint\na.jpg,left\n", "line 2 .* the viewpoint 'left'"),
        ("path,viewpoint\na.jpg\n", "line 2 .* the viewpoint None"),
        ("path,viewpoint\na.jpg,front\na.jpg,back\n", "two viewpoints"),
        ("path,viewpoint\n", "names no picture"),
    ],
)
def test_a_mistake_in_a_csv_is_a_sentence(tmp_path, text, sentence):
    file = tmp_path / "views.csv"
    file.write_text(text)
    with pytest.raises(ViewpointError, match=sentence):
        read_viewpoints(file)


def test_a_bare_name_that_stands_for_two_people_is_refused(tmp_path, make_picture):
    for person in ("ann", "bob"):
        make_picture(tmp_path / "people" / person / "1.jpg")
    dataset = load_dataset(f"folder:{tmp_path / 'people'}")
    file = tmp_path / "views.csv"
    file.write_text("path,viewpoint\n1.jpg,front\n")
    with pytest.raises(ViewpointError, match=r"names 1\.jpg, which is a picture of ann and also one of bob"):
        attach_viewpoints(dataset, read_viewpoints(file))
    file.write_text("path,viewpoint\nann/1.jpg,front\nbob/1.jpg,side\n")
    assert attach_viewpoints(dataset, read_viewpoints(file)).train.views.tolist() == [0, 1]


def test_a_file_of_another_dataset_is_refused(written, make_market):
    file = read_viewpoints(written({"0338_c4_f0075644.jpg": (0, "front")}))
    with pytest.raises(ViewpointError, match=r"names none of market1501's pictures: its first entry is 0338_c4"):
        attach_viewpoints(load_dataset(f"market1501:{make_market()}"), file)


def test_a_missing_or_unknown_kind_of_file_is_refused(tmp_path):
    with pytest.raises(ViewpointError, match="there is no file of viewpoints"):
        read_viewpoints(tmp_path / "none.pkl")
    (tmp_path / "views.xml").write_text("<a/>")
    with pytest.raises(ViewpointError, match=r"read from \.pkl or \.csv, not from views\.xml"):
        read_viewpoints(tmp_path / "views.xml")
