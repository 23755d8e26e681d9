"""`vantage gallery export`: vectors and facts out of a gallery, for other programs."""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from service.cli.opening import DATA, DataOption, GalleryArgument, open_engine
from service.cli.output import AsJson, plain, print_json

if TYPE_CHECKING:
    from service.gallery import GalleryEngine, Item

_PAGE = 500
_COLUMNS = (
    "id",
    "camera",
    "captured_at",
    "person",
    "tracklet",
    "viewpoint",
    "quality",
    "metadata",
    "added_at",
    "expires_at",
    "crop_sha256",
    "vector",
)
_TEXTS = ("id", "camera", "captured_at", "person", "tracklet", "metadata", "added_at", "expires_at", "crop_sha256")


def export(
    gallery: GalleryArgument,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The file to write; its ending says how: .npz, .jsonl or .csv.")
    ],
    data: DataOption = DATA,
    as_json: AsJson = False,
) -> None:
    """Write every item's vector and facts to a file, in the order in which they were added.

    .jsonl has an object a line and .csv a row an item. .npz has an array a fact, vectors as float32 (N, D); texts that
    are not known are empty there, numbers are NaN.
    """
    writers: dict[str, Callable[[GalleryEngine, str, BinaryIO], int]] = {
        ".npz": _npz,
        ".jsonl": _jsonl,
        ".csv": _csv,
    }
    write = writers.get(out.suffix.lower())
    if write is None:
        raise typer.BadParameter(f"{out} ends in none of {', '.join(writers)}", param_hint="--out")
    if not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.absolute().parent}", param_hint="--out")
    with open_engine(data) as engine:
        count = _whole(out, lambda file: write(engine, gallery, file))
    if as_json:
        print_json({"gallery": gallery, "file": out, "items": count})
    else:
        typer.echo(f"wrote {count:,} items of gallery {gallery} to {out}")


def _whole(out: Path, write: Callable[[BinaryIO], int]) -> int:
    """The file appears when it is complete."""
    from service.gallery import GalleryError

    growing = out.with_name(f".{out.name}.{secrets.token_hex(8)}.tmp")
    try:
        with growing.open("xb") as file:
            count = write(file)
            file.flush()
            os.fsync(file.fileno())
        growing.replace(out)
    except OSError as error:
        raise GalleryError(f"{out} cannot be written: {error.strerror}") from error
    finally:
        growing.unlink(missing_ok=True)
    return count


def _items(engine: GalleryEngine, gallery: str) -> Iterator[Item]:
    cursor: str | None = None
    while True:
        page = engine.list(gallery, cursor=cursor, limit=_PAGE, vectors=True)
        yield from page.items
        if page.cursor is None:
            return
        cursor = page.cursor


def _facts(item: Item) -> dict[str, Any]:
    return {name: plain(getattr(item, name)) for name in _COLUMNS}


def _jsonl(engine: GalleryEngine, gallery: str, file: BinaryIO) -> int:
    count = 0
    for item in _items(engine, gallery):
        file.write(json.dumps(_facts(item), ensure_ascii=False).encode() + b"\n")
        count += 1
    return count


def _csv(engine: GalleryEngine, gallery: str, file: BinaryIO) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    count = 0
    for item in _items(engine, gallery):
        writer.writerow(_cell(value) for value in _facts(item).values())
        count += 1
    text.flush()
    text.detach()
    return count


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _npz(engine: GalleryEngine, gallery: str, file: BinaryIO) -> int:
    import numpy as np

    items = list(_items(engine, gallery))
    unknown = (float("nan"),) * 3
    dimension = engine.info(gallery).settings.dimension
    columns: dict[str, Any] = {
        "vector": np.array([item.vector for item in items], np.float32).reshape(len(items), dimension),
        "viewpoint": np.array([item.viewpoint or unknown for item in items], np.float32).reshape(len(items), 3),
        "quality": np.array([np.nan if item.quality is None else item.quality for item in items], np.float32),
    }
    for name in _TEXTS:
        values = [plain(getattr(item, name)) for item in items]
        if name == "metadata":
            values = [json.dumps(value, ensure_ascii=False) for value in values]
        columns[name] = np.array([value or "" for value in values], np.str_)
    np.savez(file, **columns)
    return len(items)
