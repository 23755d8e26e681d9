import io
import shutil

import pytest
from rich.console import Console

from training.data import Dataset, check_dataset, load_dataset
from training.data.check_text import remarks, render_report


def printed(report):
    page = io.StringIO()
    Console(file=page, width=100, markup=False).print(render_report(report))
    return page.getvalue()


def test_pictures_people_junk_and_distractors_are_counted_by_split(make_market):
    report = check_dataset(load_dataset(f"market1501:{make_market(gt_bbox=('0001_c1s1_001051_00.jpg',))}"))
    assert (report.people, report.cameras, report.pictures) == (3, 3, 8)
    train, query, gallery = (report.splits[name] for name in ("train", "query", "gallery"))
    assert (train.pictures, train.people, train.cameras) == (3, 2, ("c1", "c2", "c3"))
    assert (query.pictures, query.people) == (1, 1)
    assert (gallery.pictures, gallery.people, gallery.junk, gallery.distractors) == (4, 1, 1, 1)
    assert report.splits["multi_query"].pictures == 1
    assert report.evaluation.possible
    assert report.evaluation.cameras
    assert report.evaluation.scorable == 1
    text = printed(report)
    assert "market1501: 8 images of 3 people in 3 cameras" in text
    assert "A camera-aware evaluation is possible: 1 of 1 queries." in text


def test_people_nobody_asks_for_are_distractors_whatever_they_are_called(make_market):
    root = make_market(
        train=("0001_c2_f0046182.jpg",),
        query=("0005_c2_f0046985.jpg",),
        gallery=("0005_c5_f0051781.jpg", "4783_c8_f0040246.jpg", "4783_c8_f0040247.jpg"),
    )
    assert check_dataset(load_dataset(f"dukemtmc:{root}")).splits["gallery"].distractors == 2


def test_files_that_cannot_be_read_are_named(make_market, make_picture):
    root = make_market()
    train = root / "bounding_box_train"
    (train / "0002_c1s1_000451_03.jpg").write_bytes(b"no picture")
    cut = make_picture(train / "0002_c2s1_000452_01.jpg", size=(64, 32))
    cut.write_bytes(cut.read_bytes()[:-500])
    report = check_dataset(load_dataset(f"market1501:{root}"))
    assert len(report.unreadable) == 2
    assert f"{train / '0002_c1s1_000451_03.jpg'}: this is not a picture in any known format" in report.unreadable
    assert any("truncated" in sentence for sentence in report.unreadable)
    assert "2 files cannot be read and will be skipped" in remarks(report)[0]


def test_a_file_that_a_list_names_and_that_is_not_there_is_unreadable(tmp_path):
    (tmp_path / "list.csv").write_text("path,person\nnone.jpg,a\n")
    report = check_dataset(load_dataset(f"csv:{tmp_path / 'list.csv'}"))
    assert report.unreadable == (f"{tmp_path / 'none.jpg'}: No such file or directory",)


def test_equal_files_in_training_and_testing_are_found_whatever_their_names(make_market):
    root = make_market()
    test = root / "bounding_box_test" / "0001_c2s1_000301_00.jpg"
    shutil.copyfile(root / "bounding_box_train" / "0007_c3s2_000001_01.jpg", test)
    # equal files within testing alone leak nothing
    shutil.copyfile(root / "query" / "0001_c1s1_001051_00.jpg", root / "bounding_box_test" / "0001_c1s1_002301_00.jpg")
    report = check_dataset(load_dataset(f"market1501:{root}"))
    assert report.duplicates == (
        ("bounding_box_train/0007_c3s2_000001_01.jpg", "bounding_box_test/0001_c2s1_000301_00.jpg"),
    )
    assert "1 test picture also stand" in " ".join(remarks(report))


def test_people_in_training_and_testing_and_people_of_one_camera_are_named(make_market):
    root = make_market(train=("0001_c1s1_000001_01.jpg", "0001_c2s1_000001_01.jpg", "0003_c1s1_000001_01.jpg"))
    report = check_dataset(load_dataset(f"market1501:{root}"))
    assert report.shared_people == ("0001",)
    assert report.one_camera == {"train": ("0003",), "test": ()}
    said = " ".join(remarks(report))
    assert "1 label of people stand in training and in testing" in said
    assert "1 person in train seen by one camera only" in said


def test_viewpoints_are_counted_for_people_and_missing_ones_told(make_market, tmp_path):
    views = tmp_path / "views.csv"
    views.write_text("path,viewpoint\n0002_c1s1_000451_03.jpg,front\n0002_c2s1_000452_01.jpg,front\n")
    report = check_dataset(load_dataset(f"market1501:{make_market()},viewpoints={views}"))
    assert report.splits["train"].viewpoints == {"front": 2, "side": 0, "back": 0}
    assert report.splits["train"].without_viewpoint == 1
    assert report.splits["gallery"].without_viewpoint == 2  # not 4: junk and distractors have no side
    assert report.view_classes == 1
    assert "1 of 3 training pictures have no viewpoint" in " ".join(remarks(report))


@pytest.mark.parametrize(
    ("query", "gallery", "possible", "scorable", "advice"),
    [
        ([("a", None)], [("a", "c1")], True, 1, "camera is not known of every .*: evaluate with --ignore-cameras"),
        ([("a", "c1")], [("a", "c1")], True, 1, "in another camera: evaluate with --ignore-cameras"),
        ([("a", "c1")], [("b", "c2")], False, 0, "no query's person is in the gallery"),
        ([("a", "c1")], [], False, 0, "there is no query and gallery"),
    ],
)
def test_where_cameras_cannot_be_used_the_report_says_what_to_do(
    make_split, query, gallery, possible, scorable, advice
):
    report = check_dataset(Dataset("d", query=make_split(query), gallery=make_split(gallery)))
    assert (report.evaluation.possible, report.evaluation.cameras) == (possible, False)
    assert report.evaluation.scorable == scorable
    with pytest.raises(AssertionError, match=advice):
        raise AssertionError(report.evaluation.advice)
    assert "A camera-aware evaluation is not possible." in printed(report)


def test_queries_with_nothing_to_find_in_another_camera_are_counted(make_split):
    query = make_split([("a", "c1"), ("a", "c2"), ("b", "c1")])
    report = check_dataset(Dataset("d", query=query, gallery=make_split([("a", "c1"), ("b", "c1")])))
    assert report.evaluation.cameras
    assert report.evaluation.scorable == 1
    assert "2 queries have nothing to find" in " ".join(remarks(report))


def test_a_sound_synthetic_set_raises_no_remark():
    report = check_dataset(load_dataset("synthetic:people=6,cameras=3,passes=2"))
    assert remarks(report) == []
    assert report.splits["train"].without_viewpoint == 0
    assert report.view_classes > report.splits["train"].people
