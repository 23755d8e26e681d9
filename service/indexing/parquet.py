"""Pictures in Parquet, or listed in it: a file, or a folder of files, with the columns that `rows` describes.

A picture is the bytes in the column image, or where that is empty or not there, the file that the column path names.
"""

import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from service.gallery import GalleryError
from service.indexing.errors import IndexingError
from service.indexing.folder import is_visible
from service.indexing.records import Failure, Record
from service.indexing.rows import COLUMNS, check_columns, row_record, text_or_none

PARQUET_SUFFIX = ".parquet"
_IMAGE = "image"
_ROWS = 64
"""Rows in memory at once: a row may hold a picture."""
_READ_AHEAD = 1 << 20
"""Bytes of a column; without a number all of its pictures in a row group would be."""


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or the visible ones below a folder, by name."""
    if not path.is_dir():
        return [path]
    found = []
    for folder, below, names in os.walk(path):
        below[:] = sorted(filter(is_visible, below))
        found += [Path(folder, name) for name in names if is_visible(name) and name.lower().endswith(PARQUET_SUFFIX)]
    return sorted(found)


class Parquet:
    """The rows of all files, in their order. total is their number."""

    def __init__(self, files: Sequence[Path], folder: Path | None = None) -> None:
        """folder: where paths start; None is the one that a file lies in."""
        self._files, self._folder = files, folder
        self._opened = _reader(files[0])
        self.total = sum(self._checked(file) for file in files)
        self.done = 0
        if not self.total:
            raise IndexingError(f"{files[0]} lists no picture")

    def __iter__(self) -> Iterator[Record | Failure]:
        for file in self._files:
            folder = file.parent if self._folder is None else self._folder
            number = 0
            try:
                for batch in self._opened(file).iter_batches(batch_size=_ROWS):
                    for row in batch.to_pylist():
                        number += 1
                        self.done += 1
                        yield _record(f"{file}:{number}", row, folder)
            except (OSError, ValueError, OverflowError, NotImplementedError) as error:
                yield Failure(
                    str(file), None, "unreadable", f"the file is damaged somewhere after row {number}: {error}"
                )

    def _checked(self, file: Path) -> int:
        """The number of its rows."""
        try:
            table = self._opened(file)
        except FileNotFoundError as error:
            raise IndexingError(f"there is no file {file}") from error
        except (OSError, ValueError) as error:
            raise IndexingError(f"{file} cannot be read as Parquet: {error}") from error
        with table:
            schema = table.schema_arrow
            if not {"path", _IMAGE} & set(schema.names):
                raise IndexingError(
                    f"{file} needs a column path or a column {_IMAGE}; it has {', '.join(schema.names) or 'none'}"
                )
            check_columns(file, schema.names, (*COLUMNS, _IMAGE))
            if _IMAGE in schema.names and "binary" not in str(kind := schema.field(_IMAGE).type):
                raise IndexingError(
                    f"{file}: the column {_IMAGE} is {kind}, and is for the bytes of pictures (binary); paths go into "
                    "the column path"
                )
            rows: int = table.metadata.num_rows
            return rows


def _record(place: str, row: dict[str, Any], folder: Path) -> Record | Failure:
    try:
        return row_record(place, row, folder, row.pop(_IMAGE, None))
    except GalleryError as error:
        return Failure(place, text_or_none(row.get("id")), "bad-facts", str(error))


def _reader(file: Path) -> Any:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise IndexingError(
            f"{file} needs pyarrow, which is not installed: pip install 'vantage-reid[ray]', or write a list as CSV"
        ) from error
    return lambda file: parquet.ParquetFile(file, pre_buffer=False, buffer_size=_READ_AHEAD)
