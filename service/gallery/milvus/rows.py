"""An item as an entity of a collection, and back; the rows of the embedded engine are what is in between."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from service.gallery.embedded.preparing import Written
from service.gallery.embedded.rows import HALF, Row, Stored, comparable, indexed_vector, metadata_pairs
from service.gallery.filters import Scalar
from service.gallery.items import Item
from service.gallery.milvus.server import Entity

NO_TIME = -(2**62)  # before every time that there is
NEVER = 2**62  # after every time
UNKNOWN = -1
DESCRIBING = (
    "id",
    "key",
    "camera",
    "captured_at",
    "person",
    "tracklet",
    "front",
    "side",
    "back",
    "quality",
    "added_at",
    "expires_at",
    "crop",
    "has_crop",
    "metadata",
)
"""The fields that an item is made of, but for its vector."""
ROW = ("key", "camera", "captured_at", "person", "tracklet", "viewpoint", "expires_at")
"""The fields that filters ask about."""


def entity(written: Written) -> dict[str, Any]:
    """What stands in the collection for an item that was written."""
    stored = written.stored
    assert written.vector is not None
    viewpoint = stored.row.viewpoint
    return {
        "id": stored.id,
        "vector": np.frombuffer(written.vector, HALF).astype(np.float32),
        "key": stored.key,
        "camera": stored.camera or "",
        "captured_at": NO_TIME if stored.captured_at is None else stored.captured_at,
        "person": stored.person or "",
        "tracklet": stored.tracklet or "",
        "viewpoint": UNKNOWN if viewpoint is None else viewpoint,
        "front": _number(stored.front),
        "side": _number(stored.side),
        "back": _number(stored.back),
        "quality": _number(stored.quality),
        "added_at": stored.added_at,
        "expires_at": NEVER if stored.expires_at is None else stored.expires_at,
        "crop": stored.crop or "",
        "has_crop": bool(stored.has_crop),
        "metadata": stored.metadata,
        "marks": [mark(*pair) for pair in metadata_pairs(stored.metadata)],
        "seal": stored.seal,
        "near": "",
    }


def stored(entity: Entity) -> Stored:
    """The row that an entity with all DESCRIBING fields stands for."""
    return Stored(
        key=int(entity["key"]),
        id=entity["id"],
        camera=entity["camera"] or None,
        captured_at=None if entity["captured_at"] == NO_TIME else int(entity["captured_at"]),
        person=entity["person"] or None,
        tracklet=entity["tracklet"] or None,
        front=_known(entity["front"]),
        side=_known(entity["side"]),
        back=_known(entity["back"]),
        quality=_known(entity["quality"]),
        added_at=int(entity["added_at"]),
        expires_at=None if entity["expires_at"] == NEVER else int(entity["expires_at"]),
        crop=entity["crop"] or None,
        has_crop=int(entity["has_crop"]),
        metadata=entity["metadata"],
    )


def written(entity: Entity) -> Written:
    """The row and its vector, as the embedded engine stores it."""
    return Written(stored(entity), np.asarray(entity["vector"], np.float32).astype(HALF).tobytes())


def item(entity: Entity, *, vector: bool = False) -> Item:
    return stored(entity).item(vectors([entity])[0] if vector else None)


def vectors(entities: Sequence[Entity]) -> npt.NDArray[np.float32]:
    """The vectors as they are compared, float32 (n, D), unit length: bit for bit those of the embedded engine."""
    raw = np.asarray([entity["vector"] for entity in entities], np.float32)
    return indexed_vector(raw.astype(HALF))


def row(entity: Entity) -> Row:
    """What filters ask about, of an entity with the fields of ROW."""
    return Row(
        key=int(entity["key"]),
        camera=entity["camera"] or None,
        captured_at=None if entity["captured_at"] == NO_TIME else int(entity["captured_at"]),
        person=entity["person"] or None,
        tracklet=entity["tracklet"] or None,
        viewpoint=None if entity["viewpoint"] == UNKNOWN else int(entity["viewpoint"]),
        expires_at=None if entity["expires_at"] == NEVER else int(entity["expires_at"]),
    )


def mark(field: str, value: str) -> str:
    """The name that a scalar of the metadata goes by: 128 bits of a hash, so that no two have the same."""
    return hashlib.blake2b(f"{field}\x1f{value}".encode(errors="surrogatepass"), digest_size=16).hexdigest()


def mark_of(field: str, value: Scalar) -> str:
    return mark(field, comparable(value))


def in_blocks(values: Iterable[Any], size: int) -> Iterable[list[Any]]:
    """The values, so many at a time."""
    block: list[Any] = []
    for value in values:
        block.append(value)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block


def _number(value: float | None) -> float:
    return float(UNKNOWN) if value is None else value


def _known(value: float) -> float | None:
    return None if value == UNKNOWN else float(value)
