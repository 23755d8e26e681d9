"""Pictures listed in a CSV file.

The first line names the columns: path and person, and any of camera, viewpoint (front, side, back), split (train,
query, gallery, multi_query), time (seconds, or ISO 8601; without a zone it is UTC) and tracklet. Paths start from the
file's folder. All labels are text: 007 is not 7. Person -1 in the gallery is junk. An empty cell is an unknown value.
"""

import csv
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from training.data.dataset import VIEWPOINTS, Dataset, Picture, Split
from training.data.errors import DataError
from training.data.format import Format, nearest, one_of
from training.data.unsplit import SPLIT_CHOICES, dataset_of_one_kind

JUNK = "-1"
_COLUMNS = ("path", "person", "camera", "viewpoint", "split", "time", "tracklet")
_SPLITS = ("train", "query", "gallery", "multi_query")


def _load(place: str, options: Mapping[str, str]) -> Dataset:
    file = Path(place).expanduser()
    if not place or not file.is_file():
        raise DataError(f"csv: there is no file {place or '(the spec names none)'}; write {CSV.syntax}")
    rows = _rows(file)
    pictures: dict[str, list[Picture]] = {}
    seen: dict[Path, int] = {}
    for number, row in rows:
        where = f"csv: line {number} of {file}"
        split = row.get("split", "")
        if split not in _SPLITS and "split" in row:
            raise DataError(f"{where}: split is {split!r}{nearest(split, _SPLITS)}; choose one of {', '.join(_SPLITS)}")
        picture = _picture(row, file.parent, where)
        earlier = seen.setdefault(cast(Path, picture.source), number)
        if earlier != number:
            raise DataError(f"{where} names {picture.name} again, which line {earlier} names already: keep one")
        pictures.setdefault(split, []).append(picture)
    if "" in pictures:
        return dataset_of_one_kind(CSV.name, pictures[""], one_of(options, "split", SPLIT_CHOICES), junk=JUNK)
    if "split" in options:
        raise DataError(f"csv: {file} has a column split, so leave split= out of the spec")
    if ("query" in pictures) != ("gallery" in pictures):
        raise DataError(f"csv: {file} lists only one of query and gallery: searching takes both")
    return Dataset(
        name=CSV.name,
        train=Split(tuple(pictures.get("train", ()))),
        query=Split(tuple(pictures.get("query", ()))),
        gallery=Split(tuple(pictures.get("gallery", ()))),
        multi_query=Split(tuple(pictures["multi_query"])) if "multi_query" in pictures else None,
        junk=JUNK,
    )


def _rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """Each row with the number of its line."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(file, header)
            rows = []
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    raise DataError(
                        f"csv: line {reader.line_num} of {file} has {len(cells)} cells but the first line names "
                        f"{len(header)} columns: put quotes around cells that contain commas"
                    )
                rows.append((reader.line_num, dict(zip(header, (cell.strip() for cell in cells), strict=True))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"csv: {file} cannot be read: {error}") from error
    if not rows:
        raise DataError(f"csv: {file} lists no picture below its first line")
    return rows


def _check_header(file: Path, header: list[str]) -> None:
    for column in ("path", "person"):
        if column not in header:
            raise DataError(
                f"csv: the first line of {file} must name the columns, path and person among them; "
                f"it is {','.join(header)!r}"
            )
    for column in header:
        if column not in _COLUMNS and nearest(column, _COLUMNS):
            raise DataError(f"csv: {file} has a column {column}{nearest(column, _COLUMNS)}; rename it")
    if len(set(header)) < len(header):
        raise DataError(f"csv: the first line of {file} names a column twice: {','.join(header)}")


def _picture(row: Mapping[str, str], folder: Path, where: str) -> Picture:
    for column in ("path", "person"):
        if not row[column]:
            raise DataError(f"{where} has no {column}: fill it in or remove the line")
    viewpoint = row.get("viewpoint") or None
    if viewpoint is not None and viewpoint not in VIEWPOINTS:
        raise DataError(
            f"{where}: viewpoint is {viewpoint!r}; choose one of {', '.join(VIEWPOINTS)}, or leave it empty"
        )
    return Picture(
        source=folder / row["path"],
        name=Path(row["path"]).as_posix(),
        person=row["person"],
        camera=row.get("camera") or None,
        viewpoint=viewpoint,
        tracklet=row.get("tracklet") or None,
        captured_at=_seconds(row["time"], where) if row.get("time") else None,
    )


def _seconds(text: str, where: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise DataError(f"{where}: time is {text!r}; write seconds, or like 2024-05-01T12:30:00Z") from None
        seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        raise DataError(f"{where}: time is {text!r}; write a finite number of seconds")
    return seconds


CSV = Format("csv", "csv:FILE[,split=train|test][,viewpoints=FILE]", ("split", "viewpoints"), _load)
