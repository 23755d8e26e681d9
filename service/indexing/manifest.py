"""A list of pictures with what is known of them: `.csv`, `.jsonl` or `.parquet`.

The columns path (from the list's own folder, or from the one that is named beside it), id (the path where there is
none), camera, captured_at (ISO 8601 with a zone, or seconds since 1970), person, tracklet, viewpoint (front, side or
back, or three probabilities), quality (0 to 1) and metadata (JSON) are the item's. Any further column goes into the
metadata. An empty cell is an unknown value. In CSV all labels are text: 007 is not 7.
"""

import csv
import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from service.gallery import VIEWPOINTS, BadItemError, GalleryError
from service.indexing.errors import IndexingError
from service.indexing.records import Failure, Record, facts_of
from service.indexing.times import parse_time

COLUMNS = ("path", "id", "camera", "captured_at", "person", "tracklet", "viewpoint", "quality", "metadata")
_LABELS = ("camera", "person", "tracklet")

Row = Mapping[str, Any]


class Manifest:
    """The rows of a list, in its order. total is their number."""

    def __init__(self, file: Path, folder: Path | None = None) -> None:
        """folder: where paths start; None is the list's own."""
        self._file = file
        self._folder = file.parent if folder is None else folder
        read = _READERS.get(file.suffix.lower())
        if read is None:
            raise IndexingError(f"{file} is no list of a known kind: names end in {', '.join(_READERS)}")
        if not file.is_file():
            raise IndexingError(f"there is no file {file}")
        self._read = read
        self.total = sum(1 for _ in self._rows())
        self.done = 0
        if not self.total:
            raise IndexingError(f"{file} lists no picture")

    def __iter__(self) -> Iterator[Record | Failure]:
        for number, row in self._rows():
            self.done += 1
            place = f"{self._file}:{number}"
            if isinstance(row, str):
                yield Failure(place, None, "bad-facts", row)
                continue
            try:
                yield self._record(place, row)
            except GalleryError as error:
                yield Failure(place, _text(row.get("id")), "bad-facts", str(error))

    def _rows(self) -> Iterator[tuple[int, Row | str]]:
        try:
            yield from self._read(self._file)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise IndexingError(f"{self._file} cannot be read: {error}") from error

    def _record(self, place: str, row: Row) -> Record:
        path = row.get("path")
        if not isinstance(path, str) or not path or "\0" in path:
            raise BadItemError(f"path is {path!r}: name the picture's file")
        return Record(f"{place} ({path})", self._folder / path, _facts(row))


def _facts(row: Row) -> Any:
    known = {name: row.get(name) for name in _LABELS}
    quality, given = row.get("quality"), row.get("metadata")
    metadata = _object(given) if given not in (None, "") else {}
    further = {name: _plain(value) for name, value in row.items() if name not in COLUMNS and value not in (None, "")}
    if twice := sorted(metadata.keys() & further.keys()):
        raise BadItemError(f"metadata has {twice[0]!r}, and so has the list as a column: rename one")
    return facts_of(
        id=row.get("id") or Path(row["path"]).as_posix(),
        **{name: None if value == "" else value for name, value in known.items()},
        captured_at=_time(row.get("captured_at")),
        viewpoint=_viewpoint(row.get("viewpoint")),
        quality=None if quality in (None, "") else _number("quality", quality),
        metadata=metadata | further,
    )


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadItemError(f"metadata is {value!r}, which is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadItemError(f"metadata is {value!r}: give a JSON object")
    return value


def _time(value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, datetime) else parse_time(str(value))


def _viewpoint(value: Any) -> Any:
    if value is None or value == "":
        return None
    if value in VIEWPOINTS:
        return tuple(float(name == value) for name in VIEWPOINTS)
    if isinstance(value, str):
        try:
            return [float(part) for part in value.strip("[]").replace(",", " ").split()]
        except ValueError as error:
            raise BadItemError(f"viewpoint is {value!r}: write {', '.join(VIEWPOINTS)}, or three numbers") from error
    return value


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise BadItemError(f"{name} is {value!r}: give a number") from error


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _csv(file: Path) -> Iterator[tuple[int, Row | str]]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines, strict=True)
        header = [name.strip() for name in next(reader, [])]
        _check_columns(file, header)
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != len(header):
                yield (
                    reader.line_num,
                    f"there are {len(cells)} cells and {len(header)} columns: put quotes around cells with commas",
                )
            else:
                yield reader.line_num, dict(zip(header, cells, strict=True))


def _jsonl(file: Path) -> Iterator[tuple[int, Row | str]]:
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, f"this is not JSON: {error}"
                continue
            if not isinstance(row, dict):
                yield number, "this is no JSON object: write {...} on every line"
            elif misspelt := _misspelt(row):
                yield number, misspelt
            else:
                yield number, row


def _parquet(file: Path) -> Iterator[tuple[int, Row | str]]:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise IndexingError(
            f"{file} needs pyarrow, which is not installed: pip install pyarrow, or write the list as CSV"
        ) from error
    try:
        table = parquet.ParquetFile(file)
    except (OSError, ValueError) as error:
        raise IndexingError(f"{file} cannot be read as Parquet: {error}") from error
    _check_columns(file, table.schema_arrow.names)
    number = 0
    for batch in table.iter_batches():
        for row in batch.to_pylist():
            number += 1
            yield number, row


def _check_columns(file: Path, names: list[str]) -> None:
    if "path" not in names:
        raise IndexingError(f"{file} must name its columns, and path among them; it names {', '.join(names) or 'none'}")
    if len(set(names)) < len(names):
        raise IndexingError(f"{file} names a column twice: {', '.join(names)}")
    if misspelt := _misspelt(names):
        raise IndexingError(f"{file}: {misspelt}")


def _misspelt(names: Iterable[str]) -> str | None:
    for name in names:
        if near := _meant(name):
            return f"there is a column {name!r}; did you mean {near}? Rename it, or put it into the column metadata"
    return None


@cache
def _meant(name: str) -> str | None:
    near = [] if name in COLUMNS else difflib.get_close_matches(name.lower(), COLUMNS, 1, 0.75)
    return near[0] if near else None


_READERS: dict[str, Callable[[Path], Iterator[tuple[int, Row | str]]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
LIST_SUFFIXES = tuple(_READERS)
