"""The embedded engine: galleries in one directory of this machine, written by one process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from retrieval.gpu_search import Device
from retrieval.rerank.graph_directory import Mapper
from retrieval.threads import limited_threads
from service.gallery.embedded import snapshots
from service.gallery.embedded.compacting import compact
from service.gallery.embedded.directory import DataDirectory
from service.gallery.embedded.gallery import DATABASE, EmbeddedGallery
from service.gallery.embedded.sizes import Sizes
from service.gallery.embedded.steps import reached
from service.gallery.embedded.truth import Truth
from service.gallery.embedded.verifying import verify
from service.gallery.engine import OnConflict, Progress
from service.gallery.errors import ExistsError, NoSuchGalleryError, UnavailableError
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
from service.gallery.settings import GallerySettings, check_gallery_name


class EmbeddedEngine:
    """See `service.gallery.engine.GalleryEngine`.

    A gallery is read into memory when it is first asked for, or by `load`. While the engine is open, BLAS works on one
    thread: searches run beside each other, and teams of threads would only slow one another down.
    """

    def __init__(self, directory: DataDirectory, sizes: Sizes, upkeep: bool) -> None:
        self._directory, self._sizes, self._upkeep = directory, sizes, upkeep
        self._open: dict[str, EmbeddedGallery] = {}
        self._names = threading.RLock()  # held while galleries come, go, are opened or renamed
        self._closed = False
        self._stack = ExitStack()
        self._stack.enter_context(limited_threads(1))

    @classmethod
    def open(cls, path: Path | str, *, sizes: Sizes | None = None, upkeep: bool = True) -> Self:
        """Opens a data directory, or makes it; LockedError while another process has it.

        upkeep  whether galleries save, refresh and purge by themselves, on a thread each.
        """
        return cls(DataDirectory.open(Path(path)), sizes or Sizes(), upkeep)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- galleries ---------------------------------------------------------------------------------------------------

    def galleries(self) -> tuple[str, ...]:
        self._check_open()
        return tuple(sorted(self._directory.galleries()))

    def create(self, name: str, settings: GallerySettings) -> GalleryInfo:
        check_gallery_name(name)
        with self._names:
            self._check_open()
            self._check_free(name)
            path = self._directory.reserve(name)
            Truth.create(path / DATABASE, name, settings).close()
            reached("gallery made")
            self._directory.publish(name, path)
        return self.info(name)

    def load(self, name: str) -> None:
        """Reads a gallery into memory."""
        self._gallery(name)

    def info(self, name: str) -> GalleryInfo:
        return self._gallery(name).info()

    def drop(self, name: str) -> None:
        with self._names:
            self._check_open()
            self._check_there(name)
            self._let_go(name)
            self._directory.withdraw(name)

    def rename(self, name: str, to: str, *, replace: bool = False) -> None:
        check_gallery_name(to)
        with self._names:
            self._check_open()
            self._check_there(name)
            if name == to:
                return
            if not replace:
                self._check_free(to)
            self._let_go(to)
            self._let_go(name)
            self._directory.rename(name, to, replace=replace)

    # ---- items -------------------------------------------------------------------------------------------------------

    def add(self, name: str, items: Sequence[NewItem], *, on_conflict: OnConflict = "replace") -> tuple[AddResult, ...]:
        return self._gallery(name).add(items, on_conflict)

    def get(self, name: str, id: str, *, vector: bool = False) -> Item:
        return self._gallery(name).get(id, vector)

    def crop(self, name: str, id: str) -> bytes:
        return self._gallery(name).crop(id)

    def list(
        self,
        name: str,
        filter: Filter = EVERYTHING,
        *,
        cursor: str | None = None,
        limit: int = 100,
        vectors: bool = False,
    ) -> Page:
        return self._gallery(name).page(filter, cursor, limit, vectors)

    def count(self, name: str, filter: Filter = EVERYTHING) -> int:
        return self._gallery(name).count(filter)

    def summary(self, name: str, filter: Filter = EVERYTHING) -> GallerySummary:
        return self._gallery(name).summary(filter)

    def delete(
        self,
        name: str,
        *,
        ids: Sequence[str] | None = None,
        filter: Filter | None = None,
        dry_run: bool = False,
    ) -> DeleteReceipt:
        return self._gallery(name).delete(ids, filter, dry_run)

    def search(self, name: str, search: Search) -> Answer:
        return self._gallery(name).search(search)

    def add_feedback(self, name: str, feedback: Sequence[Feedback]) -> None:
        self._gallery(name).add_feedback(feedback)

    def feedback(self, name: str) -> tuple[Feedback, ...]:
        return self._gallery(name).feedback()

    def withdraw_feedback(self, name: str, feedback: Sequence[Feedback]) -> int:
        return self._gallery(name).withdraw_feedback(feedback)

    def purge_expired(self, name: str) -> int:
        return self._gallery(name).purge_expired()

    def settle(self, name: str) -> None:
        """Makes and refreshes at once what the gallery would by and by."""
        self._gallery(name).settle()

    def build_graph(
        self, name: str, *, device: Device = "auto", mapper: Mapper = map, progress: Progress | None = None
    ) -> GraphBuilt:
        """Also of more items than the gallery makes one of by itself, and from then on it keeps it. To be called while
        nobody deletes: of what goes meanwhile the vectors cannot be read."""
        return self._gallery(name).build_graph(device, mapper, progress or (lambda stage, done, of: None))

    # ---- safekeeping -------------------------------------------------------------------------------------------------

    def snapshot(self, name: str) -> SnapshotInfo:
        gallery = self._gallery(name)
        with gallery.safekeeping:
            return snapshots.take(gallery.truth, gallery.crops, self._directory.snapshots, name)

    def snapshots(self, name: str | None = None) -> tuple[SnapshotInfo, ...]:
        self._check_open()
        found = snapshots.listing(self._directory.snapshots)
        return tuple(info for info in found if name is None or info.gallery == name)

    def restore(self, snapshot: str | Path, *, name: str | None = None, replace: bool = False) -> GalleryInfo:
        if name is not None:
            check_gallery_name(name)
        with self._names:
            self._check_open()
            source = self._snapshot_path(snapshot)
            original = snapshots.read(source).gallery
            to = name or original
            if not replace:
                self._check_free(to)
            path = self._directory.reserve(to)
            # Under another name it is another gallery, whose deletions do not concern the first one's snapshots.
            snapshots.restore_into(source, path, name=None if to == original else to)
            self._let_go(to)
            self._directory.publish(to, path, replace=replace)
        return self.info(to)

    def delete_snapshot(self, snapshot: str) -> None:
        with self._names:
            self._check_open()
            snapshots.remove(self._snapshot_path(snapshot))

    def verify(self, name: str) -> VerifyReport:
        with self._names:
            self._check_open()
            self._check_there(name)
        paths = [info.path for info in self.snapshots(name)]
        return verify(name, self._directory.galleries()[name], paths, lambda: self._gallery(name))

    def compact(self, name: str) -> CompactReceipt:
        gallery = self._gallery(name)
        with gallery.safekeeping:
            return compact(gallery, self._directory.snapshots)

    def close(self) -> None:
        with self._names:
            if self._closed:
                return
            self._closed = True
            try:
                for name in list(self._open):
                    self._open.pop(name).close()
            finally:
                self._directory.close()
                self._stack.close()

    # ---- within ------------------------------------------------------------------------------------------------------

    def _gallery(self, name: str) -> EmbeddedGallery:
        gallery = self._open.get(name)
        if gallery is not None and not self._closed:
            return gallery
        with self._names:
            self._check_open()
            if name not in self._open:
                self._check_there(name)
                path = self._directory.galleries()[name]
                self._open[name] = EmbeddedGallery(name, path, self._sizes, upkeep=self._upkeep)
            return self._open[name]

    def _let_go(self, name: str) -> None:
        """Closes the gallery of that name if it is open; it is opened again when next asked for."""
        gallery = self._open.pop(name, None)
        if gallery is not None:
            gallery.close()

    def _snapshot_path(self, snapshot: str | Path) -> Path:
        return snapshots.find(self._directory.snapshots, snapshot)

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("the gallery engine is closed: nothing was done")

    def _check_there(self, name: str) -> None:
        if name not in self._directory.galleries():
            there = ", ".join(sorted(self._directory.galleries())) or "none yet"
            raise NoSuchGalleryError(f"there is no gallery {name!r}; there are: {there}")

    def _check_free(self, name: str) -> None:
        if name in self._directory.galleries():
            raise ExistsError(f"there is a gallery {name!r} already: choose another name, or drop it first")
