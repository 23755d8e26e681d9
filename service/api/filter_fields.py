"""Which items are meant: as a JSON object, and as query parameters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.fields import Body, Instant, Label, Labels
from service.gallery import Filter, Viewpoint

Scalar = str | int | float | bool | None


MOST_IN_ADDRESS = 20
"""Values of one name; servers take a few kilobytes of address only. A body takes more."""


class FilterBody(Body):
    """All conditions must hold; one that is left out holds for every item."""

    camera_ids: Labels | None = Field(default=None, description="Seen by one of these cameras.")
    exclude_camera_ids: Labels = Field(default=(), description="Seen by none of these.")
    time_from: Instant | None = Field(default=None, description="Captured then or later.")
    time_to: Instant | None = Field(default=None, description="Captured before.")
    persons: Labels | None = Field(default=None, description="Of one of these persons.")
    tracklet_ids: Labels | None = Field(default=None, description="Of one of these tracklets.")
    viewpoints: Annotated[tuple[Viewpoint, ...], Field(max_length=3)] | None = Field(
        default=None, description="Most likely seen from there."
    )
    metadata: dict[str, Scalar] = Field(default_factory=dict, description="With these values in their metadata.")

    def filter(self) -> Filter:
        return Filter(
            cameras=self.camera_ids,
            not_cameras=self.exclude_camera_ids,
            time_from=self.time_from,
            time_to=self.time_to,
            persons=self.persons,
            tracklets=self.tracklet_ids,
            viewpoints=self.viewpoints,
            metadata=self.metadata,
        )


class FilterQuery(BaseModel):
    """The same in an address; each name that takes several is repeated for each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    camera: list[Label] = Field(default=[], max_length=MOST_IN_ADDRESS, description="Seen by one of these cameras.")
    exclude_camera: list[Label] = Field(
        default=[], max_length=MOST_IN_ADDRESS, description="Seen by none of these cameras."
    )
    time_from: Instant | None = Field(default=None, alias="from", description="Captured then or later.")
    time_to: Instant | None = Field(default=None, alias="to", description="Captured before.")
    person: list[Label] = Field(default=[], max_length=MOST_IN_ADDRESS, description="Of one of these persons.")
    tracklet: list[Label] = Field(default=[], max_length=MOST_IN_ADDRESS, description="Of one of these tracklets.")
    viewpoint: list[Literal["front", "side", "back"]] = Field(
        default=[], max_length=3, description="Most likely seen from there."
    )

    def body(self) -> FilterBody | None:
        """None where nothing was said."""
        made = FilterBody(
            camera_ids=tuple(self.camera) or None,
            exclude_camera_ids=tuple(self.exclude_camera),
            time_from=self.time_from,
            time_to=self.time_to,
            persons=tuple(self.person) or None,
            tracklet_ids=tuple(self.tracklet) or None,
            viewpoints=tuple(self.viewpoint) or None,
        )
        return None if made == FilterBody() else made
