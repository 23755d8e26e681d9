"""The engine over Milvus: galleries that any number of processes share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from retrieval.gpu_search import Device
from retrieval.rerank.graph_directory import Mapper
from service.gallery.cursors import key_before
from service.gallery.embedded.columns import Columns
from service.gallery.embedded.crops import CropStore
from service.gallery.embedded.searcher import no_such_item
from service.gallery.embedded.summarising import summarise
from service.gallery.engine import OnConflict, Progress
from service.gallery.errors import BadItemError, CorruptError, UnavailableError
from service.gallery.filters import EVERYTHING, Filter
from service.gallery.items import Item, NewItem, check_id
from service.gallery.milvus import schema
from service.gallery.milvus.copies import Copies
from service.gallery.milvus.copying import Copied, Copying
from service.gallery.milvus.entry import Entry, created_at, made_now
from service.gallery.milvus.expressions import alive, everyone, meets, one_of
from service.gallery.milvus.refreshing import Refreshed, Refreshing
from service.gallery.milvus.registry import Registry
from service.gallery.milvus.remembered import Remembered
from service.gallery.milvus.rows import DESCRIBING, ROW, item, row
from service.gallery.milvus.safekeeping import Safekeeping
from service.gallery.milvus.scanning import scan, scan_all
from service.gallery.milvus.searching import Searcher
from service.gallery.milvus.server import DEADLINE, CollectionGoneError, Server
from service.gallery.milvus.shared_database import SharedDatabase
from service.gallery.milvus.turns import Turns
from service.gallery.milvus.writing import Writes
from service.gallery.pictures import crop_hash
from service.gallery.reports import (
    AddResult,
    CompactReceipt,
    DeleteReceipt,
    GalleryInfo,
    GallerySummary,
    GraphBuilt,
    GraphState,
    IndexInfo,
    Page,
    SnapshotInfo,
    VerifyReport,
)
from service.gallery.searching import Answer, Feedback, Search
from service.gallery.settings import GallerySettings, IndexKind, check_gallery_name

Result = TypeVar("Result")
ATTEMPTS = 3
GRAPHS = ".graphs"  # a directory beside those of the crops
PLACES_LEFT = (
    "Milvus's segments and its write-ahead log, until it has compacted them",
    "the list of deletions since the last compaction",
    "snapshots made before",
)


class MilvusEngine:
    """See `service.gallery.engine.GalleryEngine`.

    Milvus holds the items; the database which galleries there are, feedback, and what may not come back; a directory
    the pictures, by the hash of their content. All three are shared by the processes that serve the same galleries,
    and none of them keeps anything to itself that an answer needs.
    """

    def __init__(self, server: Server, database: SharedDatabase, crops: Path, snapshots: Path) -> None:
        self._server, self._database = server, database
        self._registry, self._remembered, turns = Registry(database), Remembered(database), Turns(database)
        self._crops_directory = crops
        self._writes = Writes(server, self._registry, self._remembered, turns, self._crops)
        self._safekeeping = Safekeeping(server, self._registry, self._remembered, turns, self._writes, crops, snapshots)
        self._refreshing = Refreshing(server, self._registry, self._writes)
        self._copying = Copying(
            server, self._registry, self._remembered, Copies(database), turns, self._writes, self._crops, self._clear
        )
        self._closed = False

    @classmethod
    def open(
        cls,
        uri: str,
        *,
        database_url: str,
        crops_directory: Path | str,
        snapshots_directory: Path | str,
        token: str = "",
        deadline: float = DEADLINE,
    ) -> Self:
        """Galleries on a Milvus server; it need not be reachable yet.

        uri, token           of the server, such as http://milvus:19530 and user:password.
        database_url         SQLAlchemy's URL of the database that is shared: sqlite:////data/vantage.sqlite on one
                             machine, postgresql+psycopg://... for several.
        crops_directory, snapshots_directory  which all processes must see, with the same content.
        deadline             seconds after which a question to the server that has no answer is given up.
        """
        crops, snapshots = Path(crops_directory), Path(snapshots_directory)
        for folder in (crops, snapshots):
            folder.mkdir(parents=True, exist_ok=True)
        return cls(Server(uri, token, deadline=deadline), SharedDatabase.open(database_url), crops, snapshots)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """UnavailableError unless galleries can be asked now: the server and the database both answer."""
        self._check_open()
        self._server.reachable()
        self._registry.names()

    # ---- galleries ---------------------------------------------------------------------------------------------------

    def galleries(self) -> tuple[str, ...]:
        self._check_open()
        return self._registry.names()

    def create(self, name: str, settings: GallerySettings) -> GalleryInfo:
        check_gallery_name(name)
        self._check_open()
        self._registry.check_free(name)
        collection = self._registry.reserve()
        schema.make(self._server, collection, settings)
        self._registry.publish(made_now(name, collection, settings))
        self._sweep()
        return self.info(name)

    def info(self, name: str) -> GalleryInfo:
        def work(entry: Entry) -> GalleryInfo:
            count = self._server.count(entry.collection, alive(entry.now), entry.seen)
            stale = self._server.count(entry.collection, 'near == ""', entry.seen)
            kind = schema.kind_told(entry.settings)
            return GalleryInfo(
                name=entry.name,
                settings=entry.settings,
                count=count,
                created_at=created_at(entry),
                change=entry.change,
                index=IndexInfo(
                    kind=kind,
                    wanted=kind,
                    recall=None,
                    parameters=dict(schema.INDEXES[entry.settings.index][1]),
                    graph=_graph_state(entry, count, stale),
                    stale=stale,
                    progress=None,
                    memory_bytes=count * entry.settings.dimension * 4,
                    tombstones=0,
                ),
                saved_at=None,
                unsaved=0,
                pending_purge=self._remembered.pending_purge(entry),
                disk_bytes=sum(file.stat().st_size for file in self._crops(entry).path.rglob("*") if file.is_file()),
            )

        return self._of(name, work)

    def drop(self, name: str) -> None:
        self._check_open()
        self._clear(self._registry.withdraw(name))

    def rename(self, name: str, to: str, *, replace: bool = False) -> None:
        check_gallery_name(to)
        self._check_open()
        self._clear(self._registry.rename(name, to, replace=replace))

    # ---- items -------------------------------------------------------------------------------------------------------

    def add(self, name: str, items: Sequence[NewItem], *, on_conflict: OnConflict = "replace") -> tuple[AddResult, ...]:
        return self._of(name, lambda entry: self._writes.add(entry, items, on_conflict) if items else ())

    def get(self, name: str, id: str, *, vector: bool = False) -> Item:
        check_id(id)

        def work(entry: Entry) -> Item:
            fields = (*DESCRIBING, "vector") if vector else DESCRIBING
            found = self._server.query(
                entry.collection, everyone(one_of("id", [id]), alive(entry.now)), fields, entry.seen
            )
            if not found:
                raise no_such_item(name, id)
            return item(found[0], vector=vector)

        return self._of(name, work)

    def crop(self, name: str, id: str) -> bytes:
        def work(entry: Entry) -> bytes:
            return self._crops(entry).get(crop_hash(entry.name, entry.settings, self.get(name, id)))

        return self._of(name, work)

    def list(
        self,
        name: str,
        filter: Filter = EVERYTHING,
        *,
        cursor: str | None = None,
        limit: int = 100,
        vectors: bool = False,
    ) -> Page:
        if limit < 1:
            raise BadItemError(f"limit is {limit}: ask for at least 1 item")
        after = key_before(cursor)

        def work(entry: Entry) -> Page:
            fields = (*DESCRIBING, "vector") if vectors else DESCRIBING
            wanted = everyone(alive(entry.now), meets(filter))
            found = []
            for block in scan(self._server, entry, wanted, fields, after_key=after, first=limit + 1):
                found += block
                if len(found) > limit:
                    break
            return Page(
                items=tuple(item(one, vector=vectors) for one in found[:limit]),
                cursor=str(int(found[limit - 1]["key"])) if len(found) > limit else None,
            )

        return self._of(name, work)

    def count(self, name: str, filter: Filter = EVERYTHING) -> int:
        def work(entry: Entry) -> int:
            return self._server.count(entry.collection, everyone(alive(entry.now), meets(filter)), entry.seen)

        return self._of(name, work)

    def summary(self, name: str, filter: Filter = EVERYTHING) -> GallerySummary:
        """Milvus 2.3 counts nothing by groups, so that the columns of what meets the filter are read."""

        def work(entry: Entry) -> GallerySummary:
            wanted = everyone(alive(entry.now), meets(filter))
            view = Columns(row(one) for one in scan_all(self._server, entry, wanted, ROW)).view
            return summarise(name, view, view.alive)

        return self._of(name, work)

    def delete(
        self,
        name: str,
        *,
        ids: Sequence[str] | None = None,
        filter: Filter | None = None,
        dry_run: bool = False,
    ) -> DeleteReceipt:
        return self._of(name, lambda entry: self._writes.delete(entry, ids, filter, dry_run, PLACES_LEFT))

    def search(self, name: str, search: Search) -> Answer:
        return self._of(name, lambda entry: Searcher(self._server, self._remembered, entry).answer(search))

    def add_feedback(self, name: str, feedback: Sequence[Feedback]) -> None:
        self._of(name, lambda entry: self._writes.add_feedback(entry, feedback))

    def feedback(self, name: str) -> tuple[Feedback, ...]:
        return self._of(name, self._remembered.feedback)

    def withdraw_feedback(self, name: str, feedback: Sequence[Feedback]) -> int:
        return self._of(name, lambda entry: self._remembered.withdraw_feedback(entry, feedback))

    def purge_expired(self, name: str) -> int:
        return self._of(name, self._writes.purge_expired)

    def refresh(
        self, name: str, *, device: Device = "auto", mapper: Mapper = map, progress: Progress | None = None
    ) -> Refreshed:
        """Purges what has expired, and notes beside each item what re-ranking online has to know of its neighbours,
        where that has changed: a job, to be run now and then by one process.

        The lists that this follows from are kept in the directory of the crops, for the next time. progress: called as
        `progress("lists", "rows" or "noted", done, of)`; what it raises stops the work, and the next call goes on.
        """

        def work(entry: Entry) -> Refreshed:
            return self._refreshing.refresh(entry, self._graph_folder(entry), device, mapper, progress)

        return self._of(name, work)

    def build_graph(
        self, name: str, *, device: Device = "auto", mapper: Mapper = map, progress: Progress | None = None
    ) -> GraphBuilt:
        """`refresh` without the purge; what either has begun the other goes on with."""

        def work(entry: Entry) -> GraphBuilt:
            done = self._refreshing.note(entry, self._graph_folder(entry), device, mapper, progress)
            return GraphBuilt(gallery=done.gallery, items=done.items, written=done.noted)

        return self._of(name, work)

    def settle(self, name: str) -> None:
        """Does at once what jobs would by and by."""
        self.refresh(name)

    # ---- safekeeping -------------------------------------------------------------------------------------------------

    def snapshot(self, name: str) -> SnapshotInfo:
        return self._of(name, self._safekeeping.take)

    def snapshots(self, name: str | None = None) -> tuple[SnapshotInfo, ...]:
        self._check_open()
        return tuple(info for info in self._safekeeping.listing() if name is None or info.gallery == name)

    def restore(self, snapshot: str | Path, *, name: str | None = None, replace: bool = False) -> GalleryInfo:
        self._check_open()
        if name is not None:
            check_gallery_name(name)
        to, gone = self._safekeeping.restore(snapshot, name, replace)
        self._clear(gone)
        return self.info(to)

    def copy_in(
        self,
        snapshot: Path,
        *,
        name: str | None = None,
        index: IndexKind | None = None,
        progress: Progress | None = None,
    ) -> Copied:
        """Makes a gallery of another engine's snapshot, or brings one that was made so up to a later snapshot of the
        same gallery. Nobody sees a new one until it is whole; one that is there is searched meanwhile.

        name      the gallery's, if not its own. index: the kind, if not that of its settings.
        progress  called as `progress("removed", "copied" or "verified", done, of)`; what it raises stops the work, and
                  the next call goes on, with the same snapshot or a later one.
        """
        self._check_open()
        if name is not None:
            check_gallery_name(name)
        try:
            copied = self._copying.copy(snapshot, name, index, progress)
        except CollectionGoneError as error:
            raise CorruptError(
                f"what snapshot {snapshot.name} was copied to is not in Milvus any more, or was replaced meanwhile "
                f"({error}): if the gallery is listed there, drop it; then copy it again"
            ) from error
        self._sweep()
        return copied

    def delete_snapshot(self, snapshot: str) -> None:
        self._check_open()
        self._safekeeping.remove(snapshot)

    def verify(self, name: str) -> VerifyReport:
        return self._of(name, self._safekeeping.verify)

    def compact(self, name: str) -> CompactReceipt:
        return self._of(name, self._safekeeping.compact)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._server.close()
            self._database.close()

    # ---- within ------------------------------------------------------------------------------------------------------

    def _of(self, name: str, work: Callable[[Entry], Result]) -> Result:
        """Does what is to be done to the gallery of that name, whichever that is by then."""
        for _ in range(ATTEMPTS):
            self._check_open()
            entry = self._registry.entry(name)
            try:
                return work(entry)
            except CollectionGoneError as error:
                if self._registry.again(entry) is not None:
                    raise CorruptError(
                        f"the collection of gallery {name!r}, {entry.collection}, is not in Milvus any more ({error}): "
                        "restore a snapshot with `vantage gallery restore`"
                    ) from error
        raise UnavailableError(f"gallery {name!r} is being replaced again and again: nothing was done; ask again")

    def _crops(self, entry: Entry) -> CropStore:
        return CropStore(self._crops_directory / entry.collection)

    def _graph_folder(self, entry: Entry) -> Path:
        return self._crops_directory / GRAPHS / entry.collection

    def _clear(self, collection: str | None) -> None:
        """Removes what is left of a gallery that is not listed any more; what cannot be now, some other time."""
        if collection is None:
            return
        try:
            schema.drop(self._server, collection)
        except UnavailableError:
            return
        for folder in (self._crops_directory, self._crops_directory / GRAPHS):
            shutil.rmtree(folder / collection, ignore_errors=True)
        self._registry.dropped(collection)

    def _sweep(self) -> None:
        for collection in self._registry.forgotten():
            self._clear(collection)

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("the gallery engine is closed: nothing was done")


def _graph_state(entry: Entry, count: int, stale: int) -> GraphState:
    if entry.settings.rerank == "off":
        return "off"
    return "building" if stale and stale >= count else "ready"
