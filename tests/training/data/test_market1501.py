import pytest

from training.data import DataError, load_dataset


def test_the_three_folders_become_the_three_splits(make_market, names_of):
    root = make_market()
    dataset = load_dataset(f"market1501:{root}")
    assert dataset.name == "market1501"
    assert names_of(dataset.train) == [
        "bounding_box_train/0002_c1s1_000451_03.jpg",
        "bounding_box_train/0002_c2s1_000452_01.jpg",
        "bounding_box_train/0007_c3s2_000001_01.jpg",
    ]
    assert dataset.train.people == ("0002", "0007")
    assert dataset.train.cameras.tolist() == ["c1", "c2", "c3"]
    assert [picture.tracklet for picture in dataset.train] == ["0002_c1s1", "0002_c2s1", "0007_c3s2"]
    assert len(dataset.query) == 1
    assert dataset.multi_query is None
    assert dataset.train[0].source == root / "bounding_box_train" / "0002_c1s1_000451_03.jpg"


def test_junk_and_distractors_stay_in_the_gallery_and_are_nobody(make_market):
    dataset = load_dataset(f"market1501:{make_market()}")
    nobody = [picture for picture in dataset.gallery if not dataset.is_person(picture)]
    assert [picture.person for picture in nobody] == ["-1", "0000"]
    assert [picture.tracklet for picture in nobody] == [None, None]
    assert dataset.junk == "-1"


def test_the_hand_drawn_boxes_of_queried_people_are_for_multi_query(make_market, names_of):
    root = make_market(gt_bbox=("0001_c1s1_001051_00.jpg", "0001_c1s1_001076_00.jpg", "0002_c1s1_000451_00.jpg"))
    multi_query = load_dataset(f"market1501:{root}").multi_query
    assert names_of(multi_query) == ["gt_bbox/0001_c1s1_001051_00.jpg", "gt_bbox/0001_c1s1_001076_00.jpg"]


def test_the_doubled_suffix_of_person_1488_is_read(make_market, make_picture):
    root = make_market()
    single = root / "query" / "1488_c1s6_023021_00.jpg"
    make_picture(single).rename(single.with_name("1488_c1s6_023021_00.jpg.jpg"))
    assert "1488" in load_dataset(f"market1501:{root}").query.people


def test_files_that_are_no_pictures_do_not_count(make_market):
    root = make_market()
    (root / "query" / "Thumbs.db").write_bytes(b"x")
    (root / "query" / "._0001_c1s1_001051_00.jpg").write_bytes(b"x")
    assert len(load_dataset(f"market1501:{root}").query) == 1


def test_a_picture_whose_name_tells_nothing_is_not_passed_over(make_market, make_picture):
    root = make_market()
    make_picture(root / "query" / "holiday.jpg")
    make_picture(root / "query" / "0001_c2_f0046182.jpg")
    with pytest.raises(DataError, match=r"2 pictures in .*query .*the first is 0001_c2_f0046182\.jpg.*0002_c1s1"):
        load_dataset(f"market1501:{root}")


def test_junk_among_the_training_pictures_is_refused(make_market):
    root = make_market(train=("-1_c1s1_000401_03.jpg",))
    with pytest.raises(DataError, match="is in train but shows nobody"):
        load_dataset(f"market1501:{root}")


def test_a_missing_folder_is_a_sentence_about_what_was_expected_where(make_market, tmp_path):
    with pytest.raises(DataError, match=r"no folder .*nowhere.*bounding_box_train, query and bounding_box_test"):
        load_dataset(f"market1501:{tmp_path / 'nowhere'}")
    root = make_market()
    (root / "query").rename(root / "queries")
    with pytest.raises(DataError, match=r"has no query \(it holds bounding_box_test, bounding_box_train, queries\)"):
        load_dataset(f"market1501:{root}")
    with pytest.raises(DataError, match="names no folder; write market1501:ROOT"):
        load_dataset("market1501:")
    with pytest.raises(DataError, match="is a file"):
        load_dataset(f"market1501:{root / 'queries' / '0001_c1s1_001051_00.jpg'}")


def test_a_folder_one_level_off_is_told_the_right_spec(make_market):
    root = make_market()
    with pytest.raises(DataError, match=f"one level too high: write market1501:{root}$"):
        load_dataset(f"market1501:{root.parent}")
    with pytest.raises(DataError, match=f"one level too deep: write market1501:{root}$"):
        load_dataset(f"market1501:{root / 'query'}")
