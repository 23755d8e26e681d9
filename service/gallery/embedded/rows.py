"""An item as rows of the database, and back; and what of a vector is stored and indexed."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from service.gallery.items import Item, Vector

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HALF = np.dtype("<f2")


class Row(NamedTuple):
    """What filters ask about. Times are microseconds since 1970 in UTC; viewpoint is the place of the likeliest."""

    key: int
    camera: str | None
    captured_at: int | None
    person: str | None
    tracklet: str | None
    viewpoint: int | None
    expires_at: int | None


ROW_COLUMNS = (
    "key, camera, captured_at, person, tracklet, CASE WHEN front IS NULL THEN NULL "
    "WHEN front >= side AND front >= back THEN 0 WHEN side >= back THEN 1 ELSE 2 END, expires_at"
)


class Stored(NamedTuple):
    """A row of the table of items, in its order, but for the seal."""

    key: int
    id: str
    camera: str | None
    captured_at: int | None
    person: str | None
    tracklet: str | None
    front: float | None
    side: float | None
    back: float | None
    quality: float | None
    added_at: int
    expires_at: int | None
    crop: str | None
    has_crop: int
    metadata: str

    @property
    def row(self) -> Row:
        viewpoint = None
        if self.front is not None and self.side is not None and self.back is not None:
            three = (self.front, self.side, self.back)
            viewpoint = three.index(max(three))
        return Row(self.key, self.camera, self.captured_at, self.person, self.tracklet, viewpoint, self.expires_at)

    @property
    def seal(self) -> int:
        """A checksum over all fields: SQLite itself would not notice a letter that has become another."""
        return zlib.crc32("\x1f".join(map(str, self)).encode())

    def item(self, vector: Vector | None = None) -> Item:
        return Item(
            id=self.id,
            camera=self.camera,
            captured_at=None if self.captured_at is None else instant(self.captured_at),
            person=self.person,
            tracklet=self.tracklet,
            viewpoint=None
            if self.front is None or self.side is None or self.back is None
            else (self.front, self.side, self.back),
            quality=self.quality,
            metadata=json.loads(self.metadata),
            added_at=instant(self.added_at),
            expires_at=None if self.expires_at is None else instant(self.expires_at),
            crop_sha256=self.crop,
            has_crop=bool(self.has_crop),
            vector=vector,
        )


STORED_COLUMNS = ", ".join(Stored._fields)


def microseconds(time: datetime) -> int:
    return (time - EPOCH) // MICROSECOND


def instant(time: int) -> datetime:
    return EPOCH + timedelta(microseconds=time)


LAST_INSTANT = microseconds(datetime.max.replace(tzinfo=UTC))


def number(value: float | None) -> float | None:
    """The number as SQLite gives it back: a float, and 0.0 for -0.0."""
    return None if value is None else float(value) + 0.0


def stored_vector(vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """What is kept of vectors of any shape: each number rounded to float16."""
    return vector.astype(HALF)


def indexed_vector(stored: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
    """What is searched: float16 (n, D), divided row by row by their length, as float32 (n, D).

    The same bits whenever, and among whatever other rows, it is computed: the squares of float16 numbers up to 1 are
    whole multiples of 2^-48, so that float64 adds them up without rounding, in any order.
    """
    exact = stored.astype(np.float64)
    scale = 1 / np.sqrt(np.einsum("ij,ij->i", exact, exact))
    unit = np.empty(exact.shape, np.float32)
    np.multiply(exact, scale[:, None], out=unit, casting="same_kind")
    return unit


def metadata_pairs(metadata: str) -> list[tuple[str, str]]:
    """The scalar values at the top of stored metadata: (field, value as `comparable` writes it)."""
    fields: Mapping[str, Any] = json.loads(metadata)
    return [(field, comparable(value)) for field, value in fields.items() if not isinstance(value, dict | list)]


def comparable(value: str | int | float | bool | None) -> str:
    """A JSON scalar as text, the same for equal ones and for no others: 1 equals 1.0, and true does not equal 1."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False)
