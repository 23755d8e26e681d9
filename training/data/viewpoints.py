"""Which side of a person a picture shows, read from a file of annotations and attached to a dataset.

Two kinds of file. The published pickles (for Market-1501, DukeMTMC-reID and CUHK03) map file names to (number, word):
0 front or front_side, 1 side or noise, 2 back or back_side. A CSV has the columns path and viewpoint (front, side,
back); a path is the file's place below the dataset's folder, or the file's name alone.
"""

import csv
import pickle
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, cast

from training.data.dataset import VIEWPOINTS, Dataset, Picture, Split, Viewpoint
from training.data.errors import ViewpointError

_NUMBER_OF_WORD = {"front": 0, "front_side": 0, "side": 1, "noise": 1, "back": 2, "back_side": 2}


@dataclass(frozen=True, slots=True)
class ViewpointFile:
    """entries: from a file's path or name, in normal form, to its viewpoint."""

    path: Path
    entries: Mapping[str, Viewpoint]


def read_viewpoints(path: Path | str) -> ViewpointFile:
    """Read a pickle (.pkl) or a CSV (.csv)."""
    path = Path(path)
    if not path.is_file():
        raise ViewpointError(f"there is no file of viewpoints {path}; expected a published pickle (.pkl) or a .csv")
    if path.suffix.lower() == ".csv":
        pairs = _pairs_of_csv(path)
    elif path.suffix.lower() in (".pkl", ".pickle"):
        pairs = _pairs_of_pickle(path)
    else:
        raise ViewpointError(f"viewpoints are read from .pkl or .csv, not from {path.name}")
    entries: dict[str, Viewpoint] = {}
    for key, viewpoint in pairs:
        if entries.setdefault(_normal(key), viewpoint) != viewpoint:
            raise ViewpointError(
                f"{path} gives {key} two viewpoints, {entries[_normal(key)]} and {viewpoint}: keep one"
            )
    if not entries:
        raise ViewpointError(f"{path} names no picture")
    return ViewpointFile(path, entries)


def attach_viewpoints(dataset: Dataset, file: ViewpointFile) -> Dataset:
    """The dataset with the file's viewpoints; pictures that the file does not name keep what they have.

    A path in the file goes before a bare name. A bare name that would stand for different people, or a file that names
    none of the pictures, is an error: then it is another dataset's.
    """
    person_of_name: dict[str, str] = {}

    def viewpoint(picture: Picture) -> Viewpoint | None:
        path = _normal(picture.name)
        found = file.entries.get(path)
        name = path.rpartition("/")[2]
        if found is None and name in file.entries:
            found = file.entries[name]
            person = person_of_name.setdefault(name, picture.person)
            if person != picture.person:
                raise ViewpointError(
                    f"{file.path} names {name}, which is a picture of {person} and also one of {picture.person}: "
                    f"write the path below the dataset's folder, such as {picture.name}"
                )
        return found

    attached = 0

    def attach(split: Split) -> Split:
        nonlocal attached
        pictures = []
        for picture in split:
            found = viewpoint(picture)
            attached += found is not None
            pictures.append(picture if found is None else replace(picture, viewpoint=found))
        return Split(tuple(pictures))

    complete = replace(
        dataset,
        train=attach(dataset.train),
        query=attach(dataset.query),
        gallery=attach(dataset.gallery),
        multi_query=None if dataset.multi_query is None else attach(dataset.multi_query),
    )
    if not attached:
        own = next(picture.name for split in dataset.splits.values() for picture in split)
        raise ViewpointError(
            f"{file.path} names none of {dataset.name}'s pictures: its first entry is {next(iter(file.entries))}, the "
            f"dataset's first picture is {own}; take the file that belongs to this dataset"
        )
    return complete


def _normal(key: str) -> str:
    """Slashes forward; and 19 files of Market-1501, named x.jpg.jpg, are in the pickle under both names."""
    key = key.replace("\\", "/").removeprefix("./")
    return key.removesuffix(".jpg") if key.endswith(".jpg.jpg") else key


class _PlainUnpickler(pickle.Unpickler):
    """A pickle is a program. Without classes and functions to call it can only build plain values."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise ViewpointError(
            f"it wants to run {module}.{name}, and a file of viewpoints holds only names and numbers: do not open it "
            "with anything else either"
        )


def _pairs_of_pickle(path: Path) -> list[tuple[str, Viewpoint]]:
    try:
        with path.open("rb") as file:
            content: Any = _PlainUnpickler(file).load()
    except ViewpointError as error:
        raise ViewpointError(f"{path} is refused: {error}") from None
    except Exception as error:  # a damaged pickle fails in many ways
        reason = str(error) or type(error).__name__
        raise ViewpointError(f"{path} is not a whole pickle: {reason}; fetch it again") from error
    if not isinstance(content, dict):
        raise ViewpointError(
            f"{path} holds a {type(content).__name__}; expected a dict from file name to (number, word), as in "
            "market_image_map_direction.pkl"
        )
    return [(key, _viewpoint_of_entry(path, key, value)) for key, value in content.items()]


def _viewpoint_of_entry(path: Path, key: object, value: object) -> Viewpoint:
    match key, value:
        case str(), (int(number), str(word)) if _NUMBER_OF_WORD.get(word) == number:
            return VIEWPOINTS[number]
    raise ViewpointError(
        f"{path} maps {key!r} to {reprlib.repr(value)}; expected a file name and one of (0, front), "
        "(0, front_side), (1, side), (1, noise), (2, back), (2, back_side). The "
        "*_direction_map_image.pkl files are the other way round: take the *_image_map_direction.pkl beside it"
    )


def _pairs_of_csv(path: Path) -> list[tuple[str, Viewpoint]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            if not {"path", "viewpoint"} <= set(reader.fieldnames or ()):
                raise ViewpointError(f"the first line of {path} must name the columns path and viewpoint")
            pairs = []
            for row in reader:
                viewpoint = row["viewpoint"]
                if not row["path"] or viewpoint not in VIEWPOINTS:
                    raise ViewpointError(
                        f"line {reader.line_num} of {path} gives {row['path']!r} the viewpoint {viewpoint!r}; choose "
                        f"one of {', '.join(VIEWPOINTS)}"
                    )
                pairs.append((row["path"], cast(Viewpoint, viewpoint)))
            return pairs
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ViewpointError(f"{path} cannot be read: {error}") from error
