"""What a gallery holds, by every engine, against a literal count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from service.gallery import EVERYTHING, VIEWPOINTS, Filter, GalleryEngine, GallerySettings, GallerySummary, NewItem
from service.gallery.reports import MOST_CAMERAS, MOST_SPANS

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
Meets = Callable[[NewItem, Filter], bool]
STARTS = {
    "hour": {"minute": 0, "second": 0, "microsecond": 0},
    "day": {"hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    "month": {"day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    "year": {"month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0},
}


def counted(items: Iterable[NewItem], unit: str = "hour") -> dict[str, Any]:
    """What a summary of these items says, but for whose it is and what it had no room for."""
    items = list(items)
    times = [item.captured_at for item in items if item.captured_at is not None]
    cameras = Counter(item.camera for item in items if item.camera is not None)
    facing = Counter(None if item.viewpoint is None else VIEWPOINTS[int(np.argmax(item.viewpoint))] for item in items)
    return {
        "count": len(items),
        "cameras": tuple(sorted(cameras.items(), key=lambda pair: (-pair[1], pair[0]))),
        "without_camera": sum(item.camera is None for item in items),
        "unit": unit,
        "times": tuple(sorted(Counter(time.replace(**STARTS[unit]) for time in times).items())),
        "without_time": len(items) - len(times),
        "first": min(times, default=None),
        "last": max(times, default=None),
        "viewpoints": {viewpoint: facing[viewpoint] for viewpoint in VIEWPOINTS},
        "without_viewpoint": facing[None],
        "persons": len({item.person for item in items} - {None}),
        "without_person": sum(item.person is None for item in items),
        "tracklets": len({item.tracklet for item in items} - {None}),
        "without_tracklet": sum(item.tracklet is None for item in items),
    }


def told(summary: GallerySummary) -> dict[str, Any]:
    return {name: getattr(summary, name) for name in counted([])}


@pytest.mark.parametrize(
    "filter",
    [
        EVERYTHING,
        Filter(cameras=("c1", "c3")),
        Filter(not_cameras=("c1",), viewpoints=("front", "back")),
        Filter(time_from=NOON + timedelta(minutes=20), time_to=NOON + timedelta(minutes=40)),
        Filter(metadata={"floor": 1}, persons=("p1", "p2", "p3")),
        Filter(cameras=("nobody's",)),
    ],
    ids=["everything", "cameras", "viewpoints", "time", "metadata", "nothing"],
)
def test_a_summary_is_what_a_literal_count_gives(
    engine: GalleryEngine, settings: GallerySettings, crowd: Any, meets: Meets, filter: Filter
) -> None:
    engine.create("g", settings)
    engine.add("g", crowd.items)
    summary = engine.summary("g", filter)
    assert told(summary) == counted(item for item in crowd.items if meets(item, filter))
    assert (summary.gallery, summary.other_cameras, summary.other_camera_items) == ("g", 0, 0)


def test_what_is_deleted_replaced_or_expired_is_not_counted(
    engine: GalleryEngine, settings: GallerySettings, crowd: Any
) -> None:
    engine.create("g", settings)
    past = NOON - timedelta(days=1)
    engine.add("g", [replace(item, expires_at=past) for item in crowd.items[:50]])
    engine.add("g", crowd.items[50:])
    engine.delete("g", ids=[item.id for item in crowd.items[50:80]])
    moved = [replace(item, camera="elsewhere", person=None) for item in crowd.items[80:90]]
    engine.add("g", moved)
    assert told(engine.summary("g")) == counted([*crowd.items[90:], *moved])
    engine.delete("g", filter=Filter(not_cameras=("elsewhere",)))
    engine.delete("g", ids=[item.id for item in crowd.items])
    assert told(engine.summary("g")) == counted([])


def test_many_cameras_are_counted_together_after_the_largest(
    engine: GalleryEngine, settings: GallerySettings, crowd: Any
) -> None:
    engine.create("g", settings)
    cameras = [f"cam{number:04}" for number in range(MOST_CAMERAS + 3)]
    items = [replace(crowd.items[0], id=camera, camera=camera) for camera in cameras]
    engine.add("g", [*items, *(replace(items[-2], id=f"again-{number}") for number in range(2))])
    summary = engine.summary("g")
    assert summary.cameras[0] == (cameras[-2], 3)
    assert summary.cameras[1:] == tuple((camera, 1) for camera in cameras[: MOST_CAMERAS - 1])
    assert (summary.other_cameras, summary.other_camera_items) == (3, 3)
    assert summary.count == MOST_CAMERAS + 5


BEGIN = datetime(1968, 1, 1, 0, 30, tzinfo=UTC)  # before 1970, from which times are counted, and on beyond it


@pytest.mark.parametrize(
    ("unit", "larger", "span", "within"),
    [
        ("hour", "day", lambda number: BEGIN + timedelta(hours=number), timedelta(minutes=1)),
        ("day", "month", lambda number: BEGIN + timedelta(days=number), timedelta(hours=1)),
        ("month", "year", lambda number: BEGIN.replace(year=1968 + number // 12, month=1 + number % 12), timedelta(1)),
    ],
    ids=["hours", "days", "months"],
)
def test_where_there_are_too_many_spans_the_next_larger_unit_is_taken(
    engine: GalleryEngine,
    settings: GallerySettings,
    crowd: Any,
    unit: Any,
    larger: str,
    span: Callable[[int], datetime],
    within: timedelta,
) -> None:
    engine.create("g", settings)
    most = MOST_SPANS[unit]
    times = [span(number) + later for number in (0, 1, most // 2, most - 1) for later in (timedelta(0), within)]
    items = [replace(crowd.items[0], id=str(time), captured_at=time) for time in times]
    engine.add("g", items)
    assert told(engine.summary("g")) == counted(items, unit)
    items.append(replace(items[0], id="one more", captured_at=span(most)))
    engine.add("g", items[-1:])
    assert told(engine.summary("g")) == counted(items, larger)
