"""What any gallery engine does: the embedded one, and a distributed one that may stand in for it.

`tests/service/gallery/conformance.py` holds every engine to it. Nothing here knows of SQLite, faiss or files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

from retrieval.gpu_search import Device
from retrieval.rerank.graph_directory import Mapper
from service.gallery.filters import EVERYTHING, Filter
from service.gallery.items import Item, NewItem
from service.gallery.reports import (
    AddResult,
    CompactReceipt,
    DeleteReceipt,
    GalleryInfo,
    GallerySummary,
    GraphBuilt,
    Page,
    SnapshotInfo,
    VerifyReport,
)
from service.gallery.searching import Answer, Feedback, Search
from service.gallery.settings import GallerySettings

OnConflict = Literal["replace", "refuse"]
Progress = Callable[[str, int, int], None]


class GalleryEngine(Protocol):
    """Galleries of items, by name. Any number of threads may call any method.

    A write that has returned is durable, and every search that starts afterwards takes account of it. What fails raises
    a `GalleryError` and has changed nothing.
    """

    def galleries(self) -> tuple[str, ...]:
        """The names of all galleries, in alphabetical order."""
        ...

    def create(self, name: str, settings: GallerySettings) -> GalleryInfo:
        """A new, empty gallery; ExistsError if there is one of that name."""
        ...

    def info(self, name: str) -> GalleryInfo: ...

    def drop(self, name: str) -> None:
        """Removes a gallery with all it holds; its snapshots stay until they are removed."""
        ...

    def rename(self, name: str, to: str, *, replace: bool = False) -> None:
        """Gives a gallery another name at one instant; with `replace` the one that bore it is dropped."""
        ...

    def add(self, name: str, items: Sequence[NewItem], *, on_conflict: OnConflict = "replace") -> tuple[AddResult, ...]:
        """Adds items, all or none of them (an item refused or denied by its id does not hinder the others).

        An id that is there is replaced, or refused; one whose item is equal in everything is left as it is. The same id
        twice in one call counts as added and then replaced.
        """
        ...

    def get(self, name: str, id: str, *, vector: bool = False) -> Item: ...

    def crop(self, name: str, id: str) -> bytes:
        """The item's picture; NoSuchItemError where none is kept."""
        ...

    def list(
        self,
        name: str,
        filter: Filter = EVERYTHING,
        *,
        cursor: str | None = None,
        limit: int = 100,
        vectors: bool = False,
    ) -> Page:
        """Items in the order in which they were added; a cursor stays good while items come and go."""
        ...

    def count(self, name: str, filter: Filter = EVERYTHING) -> int: ...

    def summary(self, name: str, filter: Filter = EVERYTHING) -> GallerySummary:
        """How many items there are by camera, time and viewpoint; the time it takes hardly grows with them."""
        ...

    def delete(
        self,
        name: str,
        *,
        ids: Sequence[str] | None = None,
        filter: Filter | None = None,
        dry_run: bool = False,
    ) -> DeleteReceipt:
        """Deletes by id or by a filter (exactly one of the two; an empty filter is refused)."""
        ...

    def search(self, name: str, search: Search) -> Answer: ...

    def add_feedback(self, name: str, feedback: Sequence[Feedback]) -> None:
        """Remembers what was said; the last word on a pair counts. NoSuchItemError if an item is not there."""
        ...

    def feedback(self, name: str) -> tuple[Feedback, ...]: ...

    def withdraw_feedback(self, name: str, feedback: Sequence[Feedback]) -> int:
        """Forgets pairs, whatever the verdict; returns how many there were."""
        ...

    def purge_expired(self, name: str) -> int:
        """Deletes what has expired (it is not found any more anyway) and returns how many items that were."""
        ...

    def build_graph(
        self, name: str, *, device: Device = "auto", mapper: Mapper = map, progress: Progress | None = None
    ) -> GraphBuilt:
        """Makes by blocks what re-ranking online has to know of every item's neighbours, however many they are.

        device    where neighbours are found.
        mapper    `mapper(work, numbers)` does `work(number)` for each, in any order, anywhere where the files are.
        progress  called as `progress(stage, done, of)`; what it raises stops the work, and the next call goes on.
        """
        ...

    def snapshot(self, name: str) -> SnapshotInfo:
        """A consistent copy of the gallery as it is now; writing and searching go on."""
        ...

    def snapshots(self, name: str | None = None) -> tuple[SnapshotInfo, ...]: ...

    def restore(self, snapshot: str | Path, *, name: str | None = None, replace: bool = False) -> GalleryInfo:
        """The gallery of a snapshot, under its own name or another; with `replace` instead of the one there."""
        ...

    def delete_snapshot(self, snapshot: str) -> None: ...

    def verify(self, name: str) -> VerifyReport: ...

    def compact(self, name: str) -> CompactReceipt:
        """Leaves nothing on disk of what was deleted: neither in the gallery nor in its snapshots."""
        ...

    def close(self) -> None:
        """Finishes what was accepted and lets go of everything; later calls raise UnavailableError."""
        ...
