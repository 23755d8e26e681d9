"""The pictures below a folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from service.indexing.errors import IndexingError
from service.indexing.labelling import Labelling
from service.indexing.pattern import Reading, read_nothing
from service.indexing.records import Failure, Record

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def is_picture_name(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def is_visible(name: str) -> bool:
    """Of a file or folder. Some systems leave hidden files beside every picture, with its suffix."""
    return name == ".." or not name.startswith(".")


class NoPicturesError(IndexingError):
    """A folder in which there is none."""


class Folder:
    """The pictures of a folder and of the folders in it, by name. Links are followed, each folder is entered once."""

    def __init__(self, root: Path, reading: Reading = read_nothing) -> None:
        self._root = root
        self._labelling = Labelling(reading, str(root))
        self._paths = list(_pictures(root, "", set()))
        if not self._paths:
            raise NoPicturesError(
                f"there is no picture below {root}: names that end in {' '.join(SUFFIXES)} are looked for"
            )
        self.total = len(self._paths)
        self.done = 0

    def __iter__(self) -> Iterator[Record | Failure]:
        for path in self._paths:
            self.done += 1
            yield self._labelling.record(path, str(self._root / path), self._root / path)
        self._labelling.finish()


def _pictures(folder: Path, below: str, entered: set[tuple[int, int]]) -> Iterator[str]:
    """Paths from the root, sorted within each folder."""
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in entered:
            return
        entered.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise IndexingError(f"{folder} cannot be looked into: {error.strerror}") from error
    for entry in entries:
        if not is_visible(entry.name):
            continue
        if _is_folder(entry):
            yield from _pictures(folder / entry.name, f"{below}{entry.name}/", entered)
        elif is_picture_name(entry.name) and (entry.is_symlink() or entry.is_file()):  # a link to nothing is reported
            yield below + entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
