"""MSMT17 (Wei et al., CVPR 2018): list files beside two folders of pictures, which version 2 renamed.

A line of list_train.txt is `0000/0000_000_01_0303morning_0015_0.jpg 0`: the path below the training folder, and the
person. The person numbers of training and of testing both start at 0 and mean different people, hence `train-0000`
and `test-0000` here. list_val.txt holds further pictures of the training people, which published results leave out of
training; so does this unless val=yes is given.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from training.data.dataset import Dataset, Picture, Split
from training.data.errors import DataError
from training.data.format import Format, folder_with, one_of

_LISTS = {name: f"list_{name}.txt" for name in ("train", "val", "query", "gallery")}
_FOLDERS = (("train", "test"), ("mask_train_v2", "mask_test_v2"))
_NAME = re.compile(r"\d+_\d+_(?P<camera>\d+)_(?P<time>[0-9A-Za-z]+)_\d+_\d+(_\d+)?\.jpg", re.ASCII)


def _load(place: str, options: Mapping[str, str]) -> Dataset:
    root = folder_with(MSMT17, place, _LISTS.values())
    with_val = one_of(options, "val", ("no", "yes")) == "yes"
    train_folder, test_folder = _picture_folders(root)
    train = _read_list(root, _LISTS["train"], train_folder, "train")
    if with_val:
        train += _read_list(root, _LISTS["val"], train_folder, "train")
    return Dataset(
        name=MSMT17.name,
        train=Split(tuple(train)),
        query=Split(tuple(_read_list(root, _LISTS["query"], test_folder, "test"))),
        gallery=Split(tuple(_read_list(root, _LISTS["gallery"], test_folder, "test"))),
    )


def _picture_folders(root: Path) -> tuple[str, str]:
    for pair in _FOLDERS:
        if all((root / folder).is_dir() for folder in pair):
            return pair
    raise DataError(
        f"msmt17: {root} has the list files but not the pictures: expected the folders train and test, or "
        "mask_train_v2 and mask_test_v2, beside them"
    )


def _read_list(root: Path, list_name: str, folder: str, part: str) -> list[Picture]:
    pictures = []
    try:
        lines = (root / list_name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"msmt17: {root / list_name} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        path, _, person = line.strip().rpartition(" ")
        match = _NAME.fullmatch(path.rpartition("/")[2])
        if match is None or not person.isdecimal():
            raise DataError(
                f"msmt17: line {number} of {root / list_name} is {line.strip()!r}; expected a path and a person, "
                "such as 0000/0000_000_01_0303morning_0015_0.jpg 0"
            )
        identity, camera = f"{part}-{int(person):04d}", f"c{int(match['camera'])}"
        pictures.append(
            Picture(
                source=root / folder / path,
                name=f"{folder}/{path}",
                person=identity,
                camera=camera,
                tracklet=f"{identity}_{camera}_{match['time']}",
            )
        )
    return pictures


MSMT17 = Format("msmt17", "msmt17:ROOT[,val=yes][,viewpoints=FILE]", ("val", "viewpoints"), _load)
