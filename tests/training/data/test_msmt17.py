import pytest

from training.data import DataError, load_dataset

LISTS = {
    "train": "0000/0000_000_01_0303morning_0015_0.jpg 0\n0001/0001_004_12_0303noon_0900_2_1.jpg 1\n",
    "val": "0000/0000_020_14_0303afternoon_0017_1.jpg 0\n",
    "query": "0000/0000_000_05_0303morning_0100_0.jpg 0\n",
    "gallery": "0000/0000_001_06_0303morning_0200_0.jpg 0\n\n0003/0003_001_06_0303morning_0200_0.jpg 3\n",
}


@pytest.fixture
def msmt(tmp_path, make_picture):
    def make(folders=("train", "test"), **lists):
        root = tmp_path / "msmt"
        for name, text in {**LISTS, **lists}.items():
            folder = folders[0] if name in ("train", "val") else folders[1]
            root.mkdir(exist_ok=True)
            (root / f"list_{name}.txt").write_text(text)
            for line in filter(None, LISTS[name].splitlines()):
                make_picture(root / folder / line.split()[0])
        return root

    return make


@pytest.mark.parametrize("folders", [("train", "test"), ("mask_train_v2", "mask_test_v2")])
def test_both_versions_of_the_folders_are_read(msmt, folders, all_pictures, names_of):
    dataset = load_dataset(f"msmt17:{msmt(folders)}")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 2, "query": 1, "gallery": 2}
    assert names_of(dataset.query) == [f"{folders[1]}/0000/0000_000_05_0303morning_0100_0.jpg"]
    assert all(picture.source.is_file() for picture in all_pictures(dataset))
    assert dataset.train.cameras.tolist() == ["c1", "c12"]
    assert dataset.train[1].tracklet == "train-0001_c12_0303noon"


def test_person_0_of_training_is_not_person_0_of_testing(msmt):
    dataset = load_dataset(f"msmt17:{msmt()}")
    assert dataset.train.people == ("train-0000", "train-0001")
    assert dataset.query.people == ("test-0000",)
    assert dataset.gallery.people == ("test-0000", "test-0003")


def test_the_validation_list_joins_training_only_when_asked(msmt):
    root = msmt()
    assert len(load_dataset(f"msmt17:{root},val=no").train) == 2
    dataset = load_dataset(f"msmt17:{root},val=yes")
    assert len(dataset.train) == 3
    assert dataset.train.people == ("train-0000", "train-0001")
    with pytest.raises(DataError, match="val is 'maybe'"):
        load_dataset(f"msmt17:{root},val=maybe")


def test_a_line_that_cannot_be_understood_is_named(msmt):
    root = msmt(query="0000/0000_000_05_0303morning_0100_0.jpg\n")
    with pytest.raises(DataError, match=r"line 1 of .*list_query\.txt is '0000/0000_000_05"):
        load_dataset(f"msmt17:{root}")


def test_missing_lists_and_missing_pictures_are_different_sentences(msmt):
    root = msmt()
    (root / "test").rename(root / "tests")
    with pytest.raises(DataError, match="has the list files but not the pictures: expected the folders train and test"):
        load_dataset(f"msmt17:{root}")
    (root / "list_val.txt").unlink()
    with pytest.raises(DataError, match=r"has no list_val\.txt"):
        load_dataset(f"msmt17:{root}")
