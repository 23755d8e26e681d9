"""Pictures sorted by hand: one folder a person.

ROOT either holds the people's folders itself, or holds the folders train, query and gallery (one of them at least, and
query never without gallery) and the people's folders in those. Below a person's folder pictures may lie at any depth.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from training.data.dataset import Dataset, Picture, Split
from training.data.errors import DataError
from training.data.format import Format, folder_with, images_below, images_in, one_of
from training.data.unsplit import SPLIT_CHOICES, dataset_of_one_kind

_SPLITS = ("train", "query", "gallery")


def _load(place: str, options: Mapping[str, str]) -> Dataset:
    root = folder_with(FOLDER, place, ())
    camera = _pattern(options["camera"]) if "camera" in options else None
    present = [name for name in _SPLITS if (root / name).is_dir()]
    if not present:
        kind = one_of(options, "split", SPLIT_CHOICES)
        return dataset_of_one_kind(FOLDER.name, _people_in(root, root, camera), kind)
    if "split" in options:
        raise DataError(f"folder: {root} holds the folder {present[0]}, so it is split already: leave split= out")
    if ("query" in present) != ("gallery" in present):
        raise DataError(f"folder: {root} holds only one of query and gallery: searching takes both")
    others = [child.name for child in _folders_in(root) if child.name not in _SPLITS]
    if others:
        raise DataError(
            f"folder: {root} holds the folder {present[0]} and also {others[0]}: put every person below train, query "
            "or gallery, or none"
        )
    splits = {name: Split(tuple(_people_in(root / name, root, camera))) for name in present}
    empty = Split()
    return Dataset(
        name=FOLDER.name,
        train=splits.get("train", empty),
        query=splits.get("query", empty),
        gallery=splits.get("gallery", empty),
    )


def _people_in(folder: Path, root: Path, camera: re.Pattern[str] | None) -> list[Picture]:
    loose = images_in(folder)
    if loose:
        raise DataError(
            f"folder: {len(loose)} pictures lie directly in {folder} (the first is {loose[0].name}): each must be in "
            "a folder that bears its person's name"
        )
    pictures = [
        Picture(
            source=path,
            name=path.relative_to(root).as_posix(),
            person=person.name,
            camera=None if camera is None else _camera(camera, path.relative_to(person).as_posix()),
        )
        for person in _folders_in(folder)
        for path in images_below(person)
    ]
    if not pictures:
        raise DataError(f"folder: {folder} holds no picture: expected a folder for each person, with pictures inside")
    without = [picture for picture in pictures if camera is not None and picture.camera is None]
    if camera is not None and without:
        raise DataError(
            f"folder: the camera pattern {camera.pattern!r} does not match {len(without)} of {len(pictures)} pictures "
            f"(the first is {without[0].name}); it is searched for in the path below the person's folder, and its "
            r"first group, or all of it where it has none, is the camera, as in camera=_(c\d+)_"
        )
    return pictures


def _folders_in(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise DataError(f"folder: the camera pattern {text!r} is not a regular expression: {error}") from error


def _camera(pattern: re.Pattern[str], path: str) -> str | None:
    match = pattern.search(path)
    if match is None:
        return None
    camera: str | None = match[1] if pattern.groups else match[0]
    return camera or None


FOLDER = Format(
    "folder",
    "folder:ROOT[,camera=PATTERN][,split=train|test][,viewpoints=FILE]",
    ("camera", "split", "viewpoints"),
    _load,
)
