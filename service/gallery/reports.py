"""What an engine says of its galleries and of what it has done to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from service.gallery.items import Item, Viewpoint
from service.gallery.settings import GallerySettings

GraphState = Literal["ready", "building", "off", "too large"]
TimeUnit = Literal["hour", "day", "month", "year"]
MOST_CAMERAS = 1000
"""Cameras that a summary names; the others it counts together."""
MOST_SPANS: Mapping[TimeUnit, int] = {"hour": 168, "day": 366, "month": 366}
"""Spans of time between the first and the last that a summary lists; if there are more, a larger unit is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexInfo:
    """How a gallery is searched.

    kind, wanted   what searches now, and what the settings come to at this size (they differ while it is being built).
    recall         recall@10 of an approximate index, measured against exact search when it was built; None if exact.
    parameters     of an approximate index, such as efSearch.
    graph          whether re-ranking online is possible: ready, building, off, or too large. graph_items: items in it.
    stale          items whose neighbour lists wait to be made anew.
    progress       of what is being built, 0 to 1; None when nothing is.
    memory_bytes   held for vectors, index and graph.
    tombstones     deleted items that still take room in memory, until their places are closed.
    """

    kind: Literal["flat", "half", "signs", "hnsw", "ivf", "gpu"]
    wanted: Literal["flat", "half", "signs", "hnsw", "ivf", "gpu"]
    recall: float | None
    parameters: dict[str, int | float]
    graph: GraphState
    stale: int
    progress: float | None
    memory_bytes: int
    tombstones: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryInfo:
    """change: grows by 1 with every acknowledged write. unsaved: changes that the derived files do not hold yet.
    pending_purge: deleted items of which something may be left on disk until `compact`."""

    name: str
    settings: GallerySettings
    count: int
    created_at: datetime
    change: int
    index: IndexInfo
    saved_at: datetime | None
    unsaved: int
    pending_purge: int
    disk_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GallerySummary:
    """What a gallery holds, or what of it meets a filter.

    count           items.
    cameras         (camera, items), the most items first and then by name, at most MOST_CAMERAS. other_cameras: how
                    many more there are, and other_camera_items: how many items these saw. without_camera: items that
                    do not say who saw them.
    unit, times     (start, items) of every hour, day, month or year in UTC in which something was captured, in their
                    order: of the smallest unit of which at most MOST_SPANS lie between the first and the last.
                    without_time: items that do not say when.
    first, last     when the earliest and the latest were captured; None where no item says when.
    viewpoints      items by where they were most likely seen from. without_viewpoint: items that do not say it.
    persons         how many are known, and tracklets. without_person, without_tracklet: items that do not say which.
    """

    gallery: str
    count: int
    cameras: tuple[tuple[str, int], ...]
    other_cameras: int
    other_camera_items: int
    without_camera: int
    unit: TimeUnit
    times: tuple[tuple[datetime, int], ...]
    without_time: int
    first: datetime | None
    last: datetime | None
    viewpoints: Mapping[Viewpoint, int]
    without_viewpoint: int
    persons: int
    without_person: int
    tracklets: int
    without_tracklet: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AddResult:
    """What became of one item. denied: its id was erased, and the gallery does not take such ids back."""

    id: str
    outcome: Literal["added", "replaced", "unchanged", "refused", "denied"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Items in the order in which they were added; cursor: where the next page starts, None after the last."""

    items: tuple[Item, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteReceipt:
    """What a delete removed, and from where.

    ids       the items that were removed (with dry_run: would be); missing: asked for by id, but not there.
    removed   how many were removed by place: database, index, graph, crops, feedback.
    pending   where something of them may be left until `compact`, in words: free pages, write-ahead log, derived files,
              snapshots.
    """

    gallery: str
    ids: tuple[str, ...]
    missing: tuple[str, ...]
    dry_run: bool
    at: datetime
    removed: dict[str, int]
    pending: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphBuilt:
    """items: of which re-ranking knows the neighbours now. written: of which it did not, or other ones."""

    gallery: str
    items: int
    written: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactReceipt:
    """purged: deleted items of which nothing is left under the data directory. rewritten: what was written anew."""

    gallery: str
    at: datetime
    purged: int
    rewritten: tuple[str, ...]
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotInfo:
    name: str
    gallery: str
    path: Path
    at: datetime
    change: int
    count: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that `verify` found wrong. serious: the truth is hurt; otherwise what to do mends it (rebuilding)."""

    place: str
    problem: str
    remedy: str
    serious: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """checked: how many of what were looked at. sound when there are no findings."""

    gallery: str
    checked: dict[str, int]
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        return not self.findings
