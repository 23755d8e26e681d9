import pytest

from training.data import DataError, load_dataset


@pytest.fixture
def listed(tmp_path):
    def make(text, name="list.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return f"csv:{tmp_path / name}"

    return make


FULL = """path,person,camera,viewpoint,split,time,tracklet
a/1.jpg,007,lobby,front,train,12.5,t1
a/2.jpg,7,lobby,,train,2024-05-01T12:00:00Z,
"b,1.jpg",x,gate,back,query,,
b2.jpg,x,,side,gallery,2024-05-01 12:00:00,
b3.jpg,-1,gate,,gallery,,
b4.jpg,x,gate,,multi_query,,
"""


def test_every_column_is_read_and_labels_stay_text(listed, tmp_path):
    dataset = load_dataset(listed(FULL))
    first, second = dataset.train
    assert (first.person, second.person) == ("007", "7")
    assert first.source == tmp_path / "a/1.jpg"
    assert (first.camera, first.viewpoint, first.captured_at, first.tracklet) == ("lobby", "front", 12.5, "t1")
    assert (second.viewpoint, second.tracklet) == (None, None)
    assert second.captured_at == dataset.gallery[0].captured_at == 1714564800.0
    assert dataset.query[0].name == "b,1.jpg"
    assert dataset.gallery[0].camera is None
    assert len(dataset.multi_query) == 1
    assert dataset.junk == dataset.gallery[1].person == "-1"


def test_without_a_split_column_the_spec_says_what_the_pictures_are_for(listed):
    spec = listed("path,person,camera\n1.jpg,a,1\n2.jpg,a,1\n3.jpg,a,2\n4.jpg,-1,2\n")
    with pytest.raises(DataError, match="is in train but shows nobody"):
        load_dataset(spec)
    dataset = load_dataset(f"{spec},split=test")
    assert not dataset.train
    assert dataset.query.persons.tolist() == ["a"]
    assert sorted(dataset.gallery.persons) == ["-1", "a", "a"]


def test_spreadsheets_may_add_a_mark_of_order_blank_lines_and_columns_of_their_own(listed):
    dataset = load_dataset(listed("\ufeffpath,person,remark\n1.jpg, 5 ,hat\n\n2.jpg,6,\n"))
    assert dataset.train.persons.tolist() == ["5", "6"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,who\n1.jpg,a\n", "must name the columns, path and person"),
        ("path,person,camara\n1.jpg,a,1\n", r"a column camara \(did you mean camera\?\)"),
        ("path,person,path\n1.jpg,a,1\n", "names a column twice"),
        ("path,person\n1.jpg,\n", "line 2 .* has no person"),
        ("path,person\n1.jpg,a\n1.jpg,b\n", r"line 3 .* names 1\.jpg again, which line 2"),
        ("path,person\n1.jpg,a,b\n", "line 2 .* has 3 cells but the first line names 2"),
        ("path,person,viewpoint\n1.jpg,a,left\n", "viewpoint is 'left'; choose one of front, side, back"),
        ("path,person,split\n1.jpg,a,galery\n", r"split is 'galery' \(did you mean gallery\?\)"),
        ("path,person,split\n1.jpg,a,\n", "split is ''"),
        ("path,person,split\n1.jpg,a,query\n", "only one of query and gallery"),
        ("path,person,time\n1.jpg,a,noon\n", "time is 'noon'"),
        ("path,person,time\n1.jpg,a,inf\n", "finite"),
        ("path,person\n", "lists no picture"),
        ("", "must name the columns"),
        ('path,person\n"1.jpg,a\n', "cannot be read"),
    ],
)
def test_a_mistake_is_named_with_its_line(listed, text, sentence):
    with pytest.raises(DataError, match=sentence):
        load_dataset(listed(text))


def test_a_file_that_is_missing_or_split_twice_over_is_refused(listed, tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        load_dataset(f"csv:{tmp_path / 'none.csv'}")
    with pytest.raises(DataError, match="has a column split"):
        load_dataset(listed(FULL) + ",split=test")
