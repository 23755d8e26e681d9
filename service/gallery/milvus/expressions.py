"""Conditions in the language of Milvus. Whatever a caller gives stands in them as a quoted text or a number."""

from __future__ import annotations

import math
from collections.abc import Iterable

from service.gallery.embedded.rows import microseconds
from service.gallery.filters import Filter
from service.gallery.items import VIEWPOINTS
from service.gallery.milvus.rows import NO_TIME, mark_of

NOTHING = "key < 0"
FARTHEST = 2**61  # microseconds: farther apart than any two times


def quoted(text: str) -> str:
    """A text as Milvus reads it back: but for ASCII letters and digits all is told by its code, so nothing ends it."""
    return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08x}" for c in text) + '"'


def one_of(field: str, texts: Iterable[str]) -> str:
    """Holds where a field is one of these texts; of none where there are none."""
    wanted = ", ".join(quoted(text) for text in texts)
    return f"{field} in [{wanted}]" if wanted else NOTHING


def everyone(*conditions: str) -> str:
    """All of these; empty ones hold for every item."""
    return " and ".join(f"({condition})" for condition in conditions if condition)


def alive(now: int) -> str:
    """What has not expired."""
    return f"expires_at > {now}"


def meets(filter: Filter) -> str:
    """What a filter allows; empty if that is everything."""
    conditions = [
        one_of(field, wanted)
        for field, wanted in (("camera", filter.cameras), ("person", filter.persons), ("tracklet", filter.tracklets))
        if wanted is not None
    ]
    if filter.not_cameras:
        conditions.append(f"not ({one_of('camera', filter.not_cameras)})")
    if filter.time_from is not None:
        conditions.append(f"captured_at >= {microseconds(filter.time_from)}")
    if filter.time_to is not None:
        conditions.append(f"captured_at < {microseconds(filter.time_to)} and captured_at > {NO_TIME}")
    if filter.viewpoints is not None:
        places = ", ".join(str(VIEWPOINTS.index(name)) for name in filter.viewpoints)
        conditions.append(f"viewpoint in [{places}]" if places else NOTHING)
    conditions += [f'array_contains(marks, "{mark_of(field, value)}")' for field, value in filter.metadata.items()]
    return everyone(*conditions)


def not_by_that_camera_then(camera: str, at: int | None, within_s: float) -> str:
    """Leaves out a camera's items that are `within_s` seconds of a moment, or may be: their time is unknown."""
    elsewhere = f"camera != {quoted(camera)}"
    if at is None or within_s == float("inf"):
        return elsewhere
    reach = min(math.floor(within_s * 1e6), FARTHEST)
    return f"{elsewhere} or (captured_at > {NO_TIME} and (captured_at < {at - reach} or captured_at > {at + reach}))"
