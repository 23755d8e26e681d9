"""What a gallery holds, counted from the columns in memory: a few passes over plain arrays, whatever the filter."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from service.gallery.embedded.columns import NO_TIME, UNKNOWN, View
from service.gallery.embedded.filtering import Mask
from service.gallery.embedded.rows import instant
from service.gallery.items import VIEWPOINTS
from service.gallery.reports import MOST_CAMERAS, MOST_SPANS, GallerySummary, TimeUnit

_LARGER: dict[TimeUnit, str] = {"day": "D", "month": "M", "year": "Y"}  # numpy's words for them
Counts = npt.NDArray[np.int64]


def summarise(name: str, view: View, mask: Mask) -> GallerySummary:
    """mask: the places that count; items that go meanwhile count all or not at all."""
    places = np.flatnonzero(mask)
    cameras, without_camera = _counted(view.camera[places])
    persons, without_person = _counted(view.person[places])
    tracklets, without_tracklet = _counted(view.tracklet[places])
    viewpoints, without_viewpoint = _counted(view.viewpoint[places], len(VIEWPOINTS))
    labels = dict(view.codes["camera"])  # a copy: writers add to it
    ranked = _most_first(cameras, {code: label for label, code in labels.items()})
    named, others = ranked[:MOST_CAMERAS], ranked[MOST_CAMERAS:]
    captured = view.captured_at[places]
    known = captured[captured != NO_TIME]
    unit, starts, counts = _spans(known)
    return GallerySummary(
        gallery=name,
        count=len(places),
        cameras=tuple(named),
        other_cameras=len(others),
        other_camera_items=sum(count for _, count in others),
        without_camera=without_camera,
        unit=unit,
        times=tuple((instant(start), count) for start, count in zip(starts.tolist(), counts.tolist(), strict=True)),
        without_time=len(captured) - len(known),
        first=instant(int(known.min())) if len(known) else None,
        last=instant(int(known.max())) if len(known) else None,
        viewpoints=dict(zip(VIEWPOINTS, viewpoints.tolist(), strict=True)),
        without_viewpoint=without_viewpoint,
        persons=int(np.count_nonzero(persons)),
        without_person=without_person,
        tracklets=int(np.count_nonzero(tracklets)),
        without_tracklet=without_tracklet,
    )


def _counted(codes: npt.NDArray[np.integer], at_least: int = 0) -> tuple[Counts, int]:
    """How often each code occurs, int64 (at_least or more,), and how many are none."""
    counts = np.bincount(codes - UNKNOWN, minlength=at_least + 1)
    return counts[1:], int(counts[0])


def _most_first(counts: Counts, labels: Mapping[int, str]) -> list[tuple[str, int]]:
    found = [(labels[code], int(counts[code])) for code in np.flatnonzero(counts).tolist()]
    return sorted(found, key=lambda one: (-one[1], one[0]))


def _spans(captured: Counts) -> tuple[TimeUnit, Counts, Counts]:
    """The smallest unit that gives few enough spans, where each starts that holds something, and how much it holds."""
    starts, counts = np.unique(captured.view("M8[us]").astype("M8[h]"), return_counts=True)
    unit: TimeUnit = "hour"
    for larger, word in _LARGER.items():
        if not len(starts) or (starts[-1] - starts[0]).astype(np.int64) < MOST_SPANS[unit]:
            break
        unit = larger
        starts, first = np.unique(starts.astype(f"M8[{word}]"), return_index=True)
        counts = np.add.reduceat(counts, first)
    return unit, starts.astype("M8[us]").view(np.int64), counts
