"""What a row of a list says of a picture, whatever the list is written in.

The columns path (from the list's own folder, or from the one that is named beside it), id (the path where there is
none), camera, captured_at (ISO 8601 with a zone, or seconds since 1970), person, tracklet, viewpoint (front, side or
back, or three probabilities), quality (0 to 1) and metadata (JSON) are the item's. Any further column goes into the
metadata. An empty cell is an unknown value.
"""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from service.gallery import VIEWPOINTS, BadItemError, NewItem
from service.indexing.errors import IndexingError
from service.indexing.records import Record, facts_of
from service.indexing.times import parse_time

COLUMNS = ("path", "id", "camera", "captured_at", "person", "tracklet", "viewpoint", "quality", "metadata")
_LABELS = ("camera", "person", "tracklet")

Row = Mapping[str, Any]


def row_record(place: str, row: Row, folder: Path, image: bytes | None = None) -> Record:
    """folder: where the row's path starts. image: the picture itself, where the list holds it; it needs no path."""
    path = row.get("path")
    if image is not None and path in (None, ""):
        if row.get("id") in (None, ""):
            raise BadItemError("there is neither an id nor a path: a picture that lies in the list needs one of them")
        return Record(place, image, _facts(row))
    if not isinstance(path, str) or not path or "\0" in path:
        raise BadItemError(f"path is {path!r}: name the picture's file")
    return Record(f"{place} ({path})", folder / path if image is None else image, _facts(row))


def check_columns(file: Path, names: Sequence[str], columns: Sequence[str] = COLUMNS) -> None:
    """columns: those that mean something."""
    if len(set(names)) < len(names):
        raise IndexingError(f"{file} names a column twice: {', '.join(names)}")
    if wrong := misspelt(names, columns):
        raise IndexingError(f"{file}: {wrong}")


def misspelt(names: Iterable[str], columns: Sequence[str] = COLUMNS) -> str | None:
    for name in names:
        if near := _meant(name, tuple(columns)):
            return f"there is a column {name!r}; did you mean {near}? Rename it, or put it into the column metadata"
    return None


def text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


@cache
def _meant(name: str, columns: tuple[str, ...]) -> str | None:
    near = [] if name in columns else difflib.get_close_matches(name.lower(), columns, 1, 0.75)
    return near[0] if near else None


def _facts(row: Row) -> NewItem:
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
