"""An item of a gallery: one crop of a person, what is known of it, and the vector that it is found by."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from service.gallery.errors import BadItemError

Viewpoint = Literal["front", "side", "back"]
VIEWPOINTS: tuple[Viewpoint, ...] = ("front", "side", "back")
ID_BYTES = 256
METADATA_BYTES = 8 * 1024
Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NewItem:
    """An item as the caller gives it; checked here, once.

    id           the caller's own, at most 256 bytes of UTF-8 without control characters; adding it again replaces it.
    vector       float32 (D,), unit length: the crop's embedding.
    camera       who saw it. captured_at: when, with a time zone. person: who it is, where that is known.
    tracklet     which uninterrupted track of one person it belongs to.
    viewpoint    how likely it shows the person from the front, the side and the back; the three sum to 1.
    quality      0 to 1, how usable the crop is: the weight of a crop among several of one tracklet.
    metadata     anything else, as JSON of at most 8 KiB.
    expires_at   from when on it is not found any more; the gallery's own term where this is not given.
    crop         the picture itself, encoded; kept only where the gallery keeps crops.
    crop_sha256  its hash, where the bytes are not at hand; computed from `crop` otherwise.
    """

    id: str
    vector: Vector
    camera: str | None = None
    captured_at: datetime | None = None
    person: str | None = None
    tracklet: str | None = None
    viewpoint: tuple[float, float, float] | None = None
    quality: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    expires_at: datetime | None = None
    crop: bytes | None = None
    crop_sha256: str | None = None

    def __post_init__(self) -> None:
        check_id(self.id)
        for name in ("camera", "person", "tracklet"):
            value = getattr(self, name)
            if value is not None:
                check_label(name, value)
        for name in ("captured_at", "expires_at"):
            object.__setattr__(self, name, in_utc(name, getattr(self, name)))
        object.__setattr__(self, "vector", _unit(self.vector, self.id))
        if self.viewpoint is not None:
            object.__setattr__(self, "viewpoint", _three_probabilities(self.viewpoint))
        if self.quality is not None and not 0 <= self.quality <= 1:
            raise BadItemError(f"quality is {self.quality}: give a number from 0 to 1, or none")
        if self.crop_sha256 is not None and not (
            len(self.crop_sha256) == 64 and set(self.crop_sha256) <= set("0123456789abcdef")
        ):
            raise BadItemError(f"crop_sha256 is {self.crop_sha256!r}: give 64 lower-case hexadecimal digits, or none")
        metadata_text(self.metadata)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Item:
    """An item as the gallery holds it; `vector` only where it was asked for. Times are in UTC."""

    id: str
    camera: str | None
    captured_at: datetime | None
    person: str | None
    tracklet: str | None
    viewpoint: tuple[float, float, float] | None
    quality: float | None
    metadata: Mapping[str, Any]
    added_at: datetime
    expires_at: datetime | None
    crop_sha256: str | None
    has_crop: bool
    vector: Vector | None = None


def check_id(value: object) -> str:
    """The id, if it can be one."""
    if not isinstance(value, str):
        raise BadItemError(f"an id is {value!r}: give a text")
    return _printable("an id", value)


def check_label(name: str, value: object) -> str:
    """A camera's, person's or tracklet's name, if it can be one."""
    if not isinstance(value, str):
        raise BadItemError(f"{name} is {value!r}: give a text, or none")
    return _printable(name, value)


def in_utc(name: str, value: datetime | None) -> datetime | None:
    """The same instant in UTC; a time without a zone is refused, because nobody could say when it was."""
    if value is None:
        return None
    if value.tzinfo is None:
        raise BadItemError(f"{name} is {value.isoformat()}, without a time zone: write {value.isoformat()}Z for UTC")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise BadItemError(f"{name} is {value.isoformat()}, which is no time in UTC: give another") from error


def metadata_text(metadata: object) -> str:
    """Metadata as the JSON that is stored, if it may be."""
    if not isinstance(metadata, Mapping) or any(type(name) is not str for name in metadata):
        raise BadItemError("metadata must be a JSON object, names and values")
    try:
        text = json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise BadItemError(
            f"metadata cannot be written as JSON ({error}): use texts, numbers, lists and objects"
        ) from error
    if size > METADATA_BYTES:
        raise BadItemError(f"metadata is {size} bytes as JSON: at most {METADATA_BYTES} are kept with an item")
    return text


def _printable(name: str, value: str) -> str:
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise BadItemError(f"{name} is {value!r}, which cannot be written in UTF-8: give valid text") from error
    if not 0 < size <= ID_BYTES:
        raise BadItemError(f"{name} is {size} bytes long in UTF-8: give 1 to {ID_BYTES}")
    for character in value:
        if unicodedata.category(character) == "Cc":
            raise BadItemError(f"{name} is {value!r}, with a control character in it: leave that out")
    return value


def _unit(vector: object, of: str) -> Vector:
    row = np.asarray(vector, dtype=np.float32)
    if row.ndim != 1 or not len(row):
        raise BadItemError(f"the vector of {of!r} has shape {row.shape}: give one row of numbers")
    length = float(np.linalg.norm(row.astype(np.float64)))
    if not abs(length - 1) < 1e-3:  # NaN too
        raise BadItemError(f"the vector of {of!r} has length {length:g}: give a finite one of unit length")
    row = row.view()
    row.flags.writeable = False
    return row


def _three_probabilities(values: object) -> tuple[float, float, float]:
    try:
        front, side, back = (float(value) for value in values)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise BadItemError(f"viewpoint is {values!r}: give three numbers, for front, side and back") from error
    if not all(0 <= value <= 1 for value in (front, side, back)) or not math.isclose(
        front + side + back, 1, abs_tol=1e-2
    ):
        raise BadItemError(f"viewpoint is {values!r}: give three probabilities that sum to 1")
    return front, side, back
