"""A list of pictures with what is known of them: `.csv` or `.jsonl`, whose columns `rows` describes.

In CSV all labels are text: 007 is not 7.
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from service.gallery import GalleryError
from service.indexing.errors import IndexingError
from service.indexing.records import Failure, Record
from service.indexing.rows import Row, check_columns, misspelt, row_record, text_or_none


class Manifest:
    """The rows of a list, in its order. total is their number."""

    def __init__(self, file: Path, folder: Path | None = None) -> None:
        """folder: where paths start; None is the list's own."""
        self._file = file
        self._folder = file.parent if folder is None else folder
        read = _READERS.get(file.suffix.lower())
        if read is None:
            raise IndexingError(f"{file} is no list of a known kind: names end in {', '.join(_READERS)} or .parquet")
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
                yield row_record(place, row, self._folder)
            except GalleryError as error:
                yield Failure(place, text_or_none(row.get("id")), "bad-facts", str(error))

    def _rows(self) -> Iterator[tuple[int, Row | str]]:
        try:
            yield from self._read(self._file)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise IndexingError(f"{self._file} cannot be read: {error}") from error


def _csv(file: Path) -> Iterator[tuple[int, Row | str]]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines, strict=True)
        header = [name.strip() for name in next(reader, [])]
        if "path" not in header:
            raise IndexingError(
                f"{file} must name its columns, and path among them; it names {', '.join(header) or 'none'}"
            )
        check_columns(file, header)
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
            elif wrong := misspelt(row):
                yield number, wrong
            else:
                yield number, row


_READERS: dict[str, Callable[[Path], Iterator[tuple[int, Row | str]]]] = {".csv": _csv, ".jsonl": _jsonl}
LIST_SUFFIXES = tuple(_READERS)
