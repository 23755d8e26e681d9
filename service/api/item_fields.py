"""What is known of an item, as a client says it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.api.fields import Base64, Body, Instant, Label
from service.api.search_fields import Vector
from service.gallery import NewItem
from service.gallery.items import Vector as Row

Three = Annotated[tuple[float, ...], Field(min_length=3, max_length=3)]
ITEM_PROBES = ("image_b64", "embedding")


class ItemFacts(Body):
    """What is known of a crop."""

    camera_id: Label | None = None
    captured_at: Instant | None = None
    person: Label | None = Field(default=None, description="Who it is, where that is known.")
    tracklet_id: Label | None = Field(
        default=None, description="Which uninterrupted track of one person it belongs to."
    )
    viewpoint: Three | None = Field(
        default=None, description="Front, side and back; they sum to 1. Left out: what the model says."
    )
    quality: float | None = Field(default=None, ge=0, le=1, description="How usable the crop is.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="Anything else, at most 8 KiB of JSON.")
    expires_at: Instant | None = Field(default=None, description="From when on it is not found any more.")
    model_sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="Of the model that an embedding is of; refused if it is another.",
    )

    def item(self, id: str, vector: Row, viewpoint: tuple[float, float, float] | None, crop: bytes | None) -> NewItem:
        told = self.viewpoint
        return NewItem(
            id=id,
            vector=vector,
            camera=self.camera_id,
            captured_at=self.captured_at,
            person=self.person,
            tracklet=self.tracklet_id,
            viewpoint=viewpoint if told is None else (told[0], told[1], told[2]),
            quality=self.quality,
            metadata=self.metadata,
            expires_at=self.expires_at,
            crop=crop,
        )


class ItemBody(ItemFacts):
    """An item in JSON: exactly one of image_b64 and embedding, and what is known of it."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [name]} for name in ITEM_PROBES]})

    image_b64: Base64 = Field(b"", description="The crop.")
    embedding: Vector = Field(default=(), description="Its vector by the gallery's model, of unit length.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if len(self.model_fields_set.intersection(ITEM_PROBES)) != 1:
            raise ValueError("give exactly one of image_b64 and embedding")
        return self


class ItemRow(ItemBody):
    """A line of a bulk request."""

    id: Label


class ItemQuery(BaseModel):
    """What is known of a raw picture, in the address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    camera_id: Label | None = None
    captured_at: Instant | None = None
    person: Label | None = None
    tracklet_id: Label | None = None
    quality: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    expires_at: Instant | None = None

    def facts(self) -> ItemFacts:
        told: dict[str, str | float | datetime | None] = self.model_dump(exclude_none=True)
        return ItemFacts.model_validate(told)
