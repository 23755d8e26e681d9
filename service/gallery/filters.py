"""Which items are meant: a promise that no result lies outside, ever."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from service.gallery.errors import BadItemError
from service.gallery.items import VIEWPOINTS, Viewpoint, check_label, in_utc

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """All conditions must hold; one that is left out holds for every item.

    cameras, persons, tracklets, viewpoints  one of these; none given means any, and an empty tuple means no item.
    not_cameras                              none of these.
    time_from, time_to                       captured at or after the first, and before the second.
    metadata                                 these top-level values, equal in JSON (1 and 1.0 are, 1 and true are not).

    An item that does not say what a condition asks about does not meet it: without a time it lies in no span of time,
    without a camera it is of none of the given cameras (nor of the excluded ones).
    """

    cameras: tuple[str, ...] | None = None
    not_cameras: tuple[str, ...] = ()
    time_from: datetime | None = None
    time_to: datetime | None = None
    persons: tuple[str, ...] | None = None
    tracklets: tuple[str, ...] | None = None
    viewpoints: tuple[Viewpoint, ...] | None = None
    metadata: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("cameras", "not_cameras", "persons", "tracklets"):
            for value in getattr(self, name) or ():
                check_label(f"a value of {name}", value)
        for name in ("time_from", "time_to"):
            object.__setattr__(self, name, in_utc(name, getattr(self, name)))
        for value in self.viewpoints or ():
            if value not in VIEWPOINTS:
                raise BadItemError(f"a viewpoint is {value!r}: use {', '.join(VIEWPOINTS)}")
        for name, wanted in self.metadata.items():
            if not isinstance(wanted, str | int | float | bool | None):
                raise BadItemError(
                    f"metadata {name!r} is compared with {wanted!r}: give a text, a number, true, false or null"
                )
            if isinstance(wanted, float) and not math.isfinite(wanted):
                raise BadItemError(f"metadata {name!r} is compared with {wanted}: JSON has no such number")

    @property
    def empty(self) -> bool:
        """Whether it holds for every item."""
        return self == EVERYTHING


EVERYTHING = Filter()
