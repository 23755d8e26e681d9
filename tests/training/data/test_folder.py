import pytest

from training.data import DataError, load_dataset


@pytest.fixture
def people(tmp_path, make_picture):
    root = tmp_path / "people"
    for seed, path in enumerate(
        ["ann/a_c1_1.jpg", "ann/a_c1_2.png", "ann/door/a_c2_3.jpg", "bob/b_c1_1.jpg", "bob/b_c2_2.jpg"]
    ):
        make_picture(root / path, seed)
    return root


def test_each_folder_is_a_person_and_all_pictures_are_for_training(people, names_of):
    dataset = load_dataset(f"folder:{people}")
    assert dataset.train.persons.tolist() == ["ann", "ann", "ann", "bob", "bob"]
    assert names_of(dataset.train)[2] == "ann/door/a_c2_3.jpg"
    assert dataset.train.cameras is None
    assert not dataset.query


def test_a_pattern_finds_the_camera_in_the_path(people):
    by_group = load_dataset(rf"folder:{people},camera=_(c\d+)_").train
    assert by_group.cameras.tolist() == ["c1", "c1", "c2", "c1", "c2"]
    by_whole = load_dataset(rf"folder:{people},camera=c\d{{1,2}}").train
    assert by_whole.cameras.tolist() == by_group.cameras.tolist()


def test_a_pattern_that_misses_a_picture_or_is_none_is_a_sentence(people):
    with pytest.raises(DataError, match=r"does not match 4 of 5 pictures \(the first is ann/a_c1_1\.jpg\)"):
        load_dataset(f"folder:{people},camera=(door)/")
    with pytest.raises(DataError, match="'\\(c' is not a regular expression"):
        load_dataset(f"folder:{people},camera=(c")


def test_split_test_makes_queries_and_a_gallery(people):
    dataset = load_dataset(rf"folder:{people},camera=_(c\d)_,split=test")
    assert not dataset.train
    assert dataset.query.persons.tolist() == ["ann", "bob"]
    assert len(dataset.gallery) == 3


def test_folders_named_after_the_splits_are_the_splits(people, tmp_path, names_of):
    root = tmp_path / "split"
    for split, person in (("train", "ann"), ("query", "bob")):
        (root / split).mkdir(parents=True)
        (people / person).rename(root / split / person)
    with pytest.raises(DataError, match="only one of query and gallery"):
        load_dataset(f"folder:{root}")
    (root / "gallery" / "bob").mkdir(parents=True)
    (root / "query" / "bob" / "b_c2_2.jpg").rename(root / "gallery" / "bob" / "b_c2_2.jpg")
    dataset = load_dataset(f"folder:{root}")
    assert names_of(dataset.query) == ["query/bob/b_c1_1.jpg"]
    assert names_of(dataset.gallery) == ["gallery/bob/b_c2_2.jpg"]
    assert dataset.train.people == ("ann",)
    with pytest.raises(DataError, match="is split already"):
        load_dataset(f"folder:{root},split=test")
    (root / "eve").mkdir()
    with pytest.raises(DataError, match="holds the folder train and also eve"):
        load_dataset(f"folder:{root}")


def test_a_folder_without_people_or_with_loose_pictures_is_refused(people, tmp_path, make_picture):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no picture: expected a folder for each person"):
        load_dataset(f"folder:{tmp_path / 'empty'}")
    make_picture(people / "loose.jpg")
    with pytest.raises(DataError, match=r"1 pictures lie directly in .*loose\.jpg"):
        load_dataset(f"folder:{people}")
