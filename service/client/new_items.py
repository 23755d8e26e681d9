"""An item on its way into a gallery."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.client.calls import given
from service.client.errors import BadCallError
from service.client.pictures import Picture, content_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NewItem:
    """A crop, and what is known of it: exactly one of image and embedding.

    embedding: a vector of the gallery's model, of unit length; model_sha256 names that model, and another is refused.
    viewpoint: shares of front, side and back; left out, the model says it. quality: 0 to 1. metadata: at most 8 KiB of
    JSON. expires_at: from when on it is not found any more. Times with their zone.
    """

    id: str
    image: Picture | None = None
    embedding: Iterable[float] | None = None
    camera_id: str | None = None
    captured_at: datetime | None = None
    person: str | None = None
    tracklet_id: str | None = None
    viewpoint: Sequence[float] | None = None
    quality: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    expires_at: datetime | None = None
    model_sha256: str | None = None

    def __post_init__(self) -> None:
        if (self.image is None) == (self.embedding is None):
            raise BadCallError(f"item {self.id!r}: give exactly one of image and embedding")

    def facts(self) -> dict[str, Any]:
        """What is known of it, without the crop."""
        return given(
            camera_id=self.camera_id,
            captured_at=self.captured_at,
            person=self.person,
            tracklet_id=self.tracklet_id,
            viewpoint=self.viewpoint,
            quality=self.quality,
            metadata=dict(self.metadata) or None,
            expires_at=self.expires_at,
            model_sha256=self.model_sha256,
        )

    def row(self) -> dict[str, Any]:
        """All of it, as JSON. Raises OSError where a picture's file cannot be read."""
        if self.embedding is not None:
            return {"id": self.id, "embedding": numbers(self.embedding)} | self.facts()
        assert self.image is not None, "one of the two was given"
        return {"id": self.id, "image_b64": base64.b64encode(content_of(self.image)).decode()} | self.facts()


def numbers(vector: Iterable[float]) -> list[float]:
    """A vector of any kind, numpy's too, as JSON."""
    try:
        return [float(number) for number in vector]
    except (TypeError, ValueError) as error:
        raise BadCallError(f"an embedding is one row of numbers ({error})") from error
