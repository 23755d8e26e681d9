"""Which items are meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from service.client.calls import given
from service.client.errors import BadCallError

Viewpoint = Literal["front", "side", "back"]
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """All conditions must hold; one that is left out holds for every item.

    camera_ids, persons, tracklet_ids, viewpoints: one of these. exclude_camera_ids: none of these. time_from, time_to:
    captured at or after the first and before the second; times with their zone. metadata: with these values.
    """

    camera_ids: Sequence[str] | None = None
    exclude_camera_ids: Sequence[str] | None = None
    time_from: datetime | None = None
    time_to: datetime | None = None
    persons: Sequence[str] | None = None
    tracklet_ids: Sequence[str] | None = None
    viewpoints: Sequence[Viewpoint] | None = None
    metadata: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("camera_ids", "exclude_camera_ids", "persons", "tracklet_ids", "viewpoints"):
            value = getattr(self, name)
            if isinstance(value, str):  # which is a sequence of letters
                raise BadCallError(f"{name} is {value!r}: give a list, [{value!r}]")
            if value is not None:
                object.__setattr__(self, name, tuple(value))

    def body(self) -> dict[str, Any]:
        """As JSON."""
        return given(
            camera_ids=self.camera_ids,
            exclude_camera_ids=self.exclude_camera_ids,
            time_from=self.time_from,
            time_to=self.time_to,
            persons=self.persons,
            tracklet_ids=self.tracklet_ids,
            viewpoints=self.viewpoints,
            metadata=dict(self.metadata) or None,
        )

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """For an address, which has no metadata, and cannot say that nothing may be meant."""
        if self.metadata:
            raise BadCallError("an address cannot name metadata: list without that condition, or search with it")
        lists = {
            "camera": self.camera_ids,
            "exclude_camera": self.exclude_camera_ids,
            "person": self.persons,
            "tracklet": self.tracklet_ids,
            "viewpoint": self.viewpoints,
        }
        for name, values in lists.items():
            if values is not None and not values and name != "exclude_camera":
                raise BadCallError(f"the filter allows no {name} at all: name one, or leave that condition out")
        times = {"from": self.time_from, "to": self.time_to}
        return tuple((name, value) for name, values in lists.items() for value in values or ()) + tuple(
            (name, time.isoformat()) for name, time in times.items() if time is not None
        )
