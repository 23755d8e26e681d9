"""One gallery of the embedded engine: the truth on disk, and in memory what it is searched by."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from retrieval import ExactIndex, RetrievalError
from retrieval.gpu_search import Device
from retrieval.rerank.graph_directory import Mapper
from service.gallery.cursors import key_before
from service.gallery.embedded import derived
from service.gallery.embedded.building import Builder
from service.gallery.embedded.bulk_graph import make_graph
from service.gallery.embedded.columns import Columns, Keys, View
from service.gallery.embedded.crops import CropStore
from service.gallery.embedded.filtering import Mask, allowed
from service.gallery.embedded.holdings import Held, Holdings
from service.gallery.embedded.moment import OutdatedError
from service.gallery.embedded.refreshing import Refresher
from service.gallery.embedded.rows import microseconds
from service.gallery.embedded.searcher import Searcher, no_such_item
from service.gallery.embedded.sizes import Kind, Sizes
from service.gallery.embedded.starting import held_at_start
from service.gallery.embedded.steps import reached
from service.gallery.embedded.summarising import summarise
from service.gallery.embedded.superseded import Superseded
from service.gallery.embedded.transaction import Transaction
from service.gallery.embedded.truth import Truth
from service.gallery.embedded.upkeep import Chore, Upkeep
from service.gallery.embedded.writer import Writer
from service.gallery.engine import OnConflict, Progress
from service.gallery.errors import BadItemError, CorruptError, GalleryError, UnavailableError
from service.gallery.filters import Filter
from service.gallery.items import Item, NewItem, check_id
from service.gallery.pictures import crop_hash
from service.gallery.reports import (
    AddResult,
    DeleteReceipt,
    GalleryInfo,
    GallerySummary,
    GraphBuilt,
    IndexInfo,
    Page,
)
from service.gallery.searching import Answer, Feedback, Search

DATABASE = "gallery.sqlite"
CROPS = "crops"
DERIVED = "derived"
BULK = "graph"  # where `build_graph` works, until what it has made is among the derived files
SETTLED = 2.0
UNSAVED = 2_000  # changed items after which the derived files are written again, in a quiet moment
ATTEMPTS = 4
PATIENCE = 5.0  # seconds a search waits for a commit that took items from under it to be taken up
Result = TypeVar("Result")
log = logging.getLogger(__name__)


class EmbeddedGallery:
    """Opened by the engine, which names it. Any number of threads may call any method."""

    def __init__(self, name: str, path: Path, sizes: Sizes, *, upkeep: bool = True) -> None:
        self.name, self.path = name, path
        self._sizes = sizes
        interrupted = (path / f"{DATABASE}-wal").exists()  # SQLite removes it when it is closed
        self.truth = Truth.open(path / DATABASE)
        try:
            self.settings = self.truth.settings
            self.crops = CropStore(path / CROPS)
            if interrupted:  # between writing a crop and committing the item that names it, perhaps
                self.crops.sweep(self.truth.crop_hashes())
            self._taken_up_change = self.truth.change
            self._progress = threading.Condition()
            self.safekeeping = threading.Lock()  # no snapshot is taken between what is compacted here and there
            self._superseded = Superseded()
            self._columns = Columns(self.truth.rows())
            start = held_at_start(name, path / DERIVED, self.truth, self.settings, sizes, self._columns.view.keys)
            self.problems, self._unsaved = start.problems, start.unsaved
            self._holdings = Holdings(start.held)
            self._writer = Writer(name, self.truth, self._take_up)
            self._builder = Builder(name, self.settings, sizes, self._holdings, self._writer)
        except BaseException:
            self.truth.close()
            raise
        if (step := self._builder.wanted()) and len(self._columns) <= sizes.at_once_up_to:
            self._builder.attempt(step)
        self._upkeep = Upkeep(
            f"gallery {name}",
            [
                Chore("purging expired items", 30.0, lambda: self.purge_expired() < 0),
                Chore("building", 0.0, self._build),
                Chore("refreshing neighbour lists", 0.0, Refresher(self._holdings, self._writer).refresh),
                Chore("saving what is derived", 1.0, self._save_if_due),
            ],
        )
        if upkeep:
            self._upkeep.start()

    # ---- writing -----------------------------------------------------------------------------------------------------

    def add(self, items: Sequence[NewItem], on_conflict: OnConflict) -> tuple[AddResult, ...]:
        def work(transaction: Transaction) -> tuple[AddResult, ...]:
            # Crops are written on this thread too: nobody can unlink one before the item that uses it is there.
            before = self.truth.items(list(transaction.keys_of([item.id for item in items]).values()))
            results = transaction.add(items, on_conflict, self._now(), self.crops.put_all)
            replaced = {result.id for result in results if result.outcome == "replaced"}
            self._superseded.remember({key: item for key, item in before.items() if item.id in replaced})
            return results

        return self._writer.write(work) if items else ()

    def delete(self, ids: Sequence[str] | None, filter: Filter | None, dry_run: bool) -> DeleteReceipt:
        if (ids is None) == (filter is None):
            raise BadItemError("a delete names ids or gives a filter: give exactly one of the two")
        if filter is not None and filter.empty:
            raise BadItemError("a delete by an empty filter would delete everything: drop the gallery if that is meant")
        at = self._now()

        def named(looked_up: Callable[[Sequence[str]], dict[str, int]], strict: bool) -> dict[str, int]:
            if ids is not None:
                return looked_up([check_id(id) for id in dict.fromkeys(ids)])
            assert filter is not None
            keys = self._keys(filter, at, strict)
            items = self.truth.items(keys.tolist())
            if strict and len(items) < len(keys):
                raise OutdatedError
            return {item.id: key for key, item in items.items()}

        def work(transaction: Transaction) -> tuple[dict[str, int], dict[str, int]]:
            keys = named(transaction.keys_of, False)
            held = self._holdings.now
            crops_before = len(transaction.orphaned_crops)
            feedback_before = transaction.forgotten_feedback
            gone = transaction.delete(sorted(keys.values()))
            self._superseded.forget(keys.keys())
            return keys, {
                "database": gone,
                "index": gone,
                "graph": gone if held.graph is not None else 0,
                "crops": len(transaction.orphaned_crops) - crops_before,
                "feedback": transaction.forgotten_feedback - feedback_before,
            }

        removed: dict[str, int] = {}
        if dry_run:
            found = self._of_one_moment(lambda strict: named(self.truth.keys_of, strict))
        else:
            found, removed = self._writer.write(work)
        missing = () if ids is None else tuple(id for id in dict.fromkeys(ids) if id not in found)
        return DeleteReceipt(
            gallery=self.name,
            ids=tuple(found),
            missing=missing,
            dry_run=dry_run,
            at=at,
            removed=removed,
            pending=() if dry_run or not found else self._places_left(),
        )

    def add_feedback(self, feedback: Sequence[Feedback]) -> None:
        self._writer.write(lambda transaction: transaction.put_feedback(feedback, self._now()))

    def withdraw_feedback(self, feedback: Sequence[Feedback]) -> int:
        return self._writer.write(lambda transaction: transaction.withdraw_feedback(feedback))

    def purge_expired(self) -> int:
        now = microseconds(self._now())
        if now < self._columns.view.next_expiry:
            return 0

        def work(transaction: Transaction) -> int:
            view = self._columns.view
            return transaction.delete(view.keys[view.alive & (view.expires_at <= now)].tolist())

        return self._writer.write(work)

    # ---- asking ------------------------------------------------------------------------------------------------------

    def search(self, search: Search) -> Answer:
        return self._of_one_moment(lambda strict: self._searcher(strict).answer(search))

    def _of_one_moment(self, ask: Callable[[bool], Result]) -> Result:
        """What `ask(strict)` returns, asked again while something is written that it meets."""
        for _ in range(ATTEMPTS):
            before = self._taken_up_change, self.truth.change
            try:
                return ask(True)
            except OutdatedError:
                pass
            except RetrievalError:  # the same, met inside an index: an item went while it was asked about
                if before[0] == before[1] == self.truth.change:
                    raise  # nothing did
            self._wait_until_taken_up()
        # So much is written that each time something went. Between two commits nothing does.
        return self._writer.alone(lambda: ask(False))

    def _searcher(self, strict: bool) -> Searcher:
        settled = self._holdings.settled  # first, so that nothing goes unnoticed between it and the others
        held, view = self._holdings.now, self._columns.view
        return Searcher(
            self.name,
            self.settings,
            self.truth,
            self._superseded,
            held,
            view,
            microseconds(self._now()),
            self._builder.why_no_graph(),
            partial(self._holdings.gone_since, settled),
            strict=strict,
        )

    def get(self, id: str, vector: bool) -> Item:
        found = self.truth.item(check_id(id), vector)
        if found is None or (found[1].expires_at is not None and found[1].expires_at <= self._now()):
            raise no_such_item(self.name, id)
        return found[1]

    def crop(self, id: str) -> bytes:
        item = self.get(id, vector=False)
        while True:
            try:
                return self._crop_of(item)
            except CorruptError:
                there = self.get(id, vector=False)  # or it was deleted meanwhile, with its picture
                if there.crop_sha256 == item.crop_sha256:
                    raise
                item = there

    def _crop_of(self, item: Item) -> bytes:
        return self.crops.get(crop_hash(self.name, self.settings, item))

    def page(self, filter: Filter, cursor: str | None, limit: int, vectors: bool) -> Page:
        if limit < 1:
            raise BadItemError(f"limit is {limit}: ask for at least 1 item")
        after = key_before(cursor)

        def ask(strict: bool) -> Page:
            keys = self._keys(filter, self._now(), strict)
            keys = keys[keys > after]
            items = self.truth.items(keys[:limit].tolist(), vectors=vectors)
            if strict and len(items) < min(len(keys), limit):
                raise OutdatedError
            cursor = str(int(keys[limit - 1])) if len(keys) > limit else None
            return Page(items=tuple(items.values()), cursor=cursor)

        return self._of_one_moment(ask)

    def count(self, filter: Filter) -> int:
        return self._of_one_moment(lambda strict: len(self._keys(filter, self._now(), strict)))

    def summary(self, filter: Filter) -> GallerySummary:
        view, mask = self._of_one_moment(lambda strict: self._allowed(filter, self._now(), strict))
        return summarise(self.name, view, mask)

    def feedback(self) -> tuple[Feedback, ...]:
        return tuple(self.truth.feedback())

    def info(self) -> GalleryInfo:
        held = self._holdings.now
        index, graph = held.approximate, held.graph
        kind: Kind = "flat" if index is None else index.kind
        manifest = derived.believed(self.path / DERIVED)
        return GalleryInfo(
            name=self.name,
            settings=self.settings,
            count=self.count(Filter()),
            created_at=self.truth.created_at,
            change=self.truth.change,
            index=IndexInfo(
                kind=kind,
                wanted=self._sizes.kind(self.settings, len(held.table), kind),
                recall=None if index is None else index.recall,
                parameters={} if index is None else dict(index.parameters),
                graph=self._builder.graph_state(),
                stale=0 if graph is None else graph.stale,
                progress=self._builder.progress,
                memory_bytes=held.nbytes,
                tombstones=held.tombstones,
            ),
            saved_at=None if manifest is None else manifest.saved_at,
            unsaved=self.truth.change - (0 if manifest is None else manifest.change),
            pending_purge=self.truth.pending_purge,
            disk_bytes=sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file()),
        )

    # ---- upkeep ------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Makes and refreshes now what upkeep would by and by: afterwards the graph equals one made from nothing."""
        self._builder.wait()
        while (step := self._builder.wanted()) is not None:
            self._builder.attempt(step)
        graph = self._holdings.now.graph
        if graph is not None:
            self._writer.alone(graph.refresh)

    def build_graph(self, device: Device, mapper: Mapper, progress: Progress) -> GraphBuilt:
        """Makes the graph by blocks if there is none, saves it, and keeps it however large the gallery becomes."""
        if self.settings.rerank == "off":
            raise GalleryError(
                f"gallery {self.name!r} was made with --rerank off and keeps no graph of its neighbours: make another, "
                "without that, and index into it"
            )
        self._builder.wait()
        view, graph = self._columns.view, None
        if self._holdings.now.graph is None:
            keys, reranking = view.keys[view.alive], self.settings.reranking
            graph = make_graph(self.path / BULK, reranking, keys, self.truth.vectors, device, mapper, progress)

        def work() -> None:
            if graph is not None:
                self._holdings.adopt_graph(graph)
            self._holdings.keep_graph()
            self._save()

        self._writer.alone(work)
        shutil.rmtree(self.path / BULK, ignore_errors=True)
        items = len(self._holdings.now.table)
        return GraphBuilt(gallery=self.name, items=items, written=0 if graph is None else items)

    def save(self) -> None:
        """Writes the derived files anew."""
        self._writer.alone(self._save)

    def compact_derived(self) -> None:
        """Leaves nothing in the derived files, or in memory, of what was deleted."""

        def work() -> None:
            held = self._holdings.now
            for index in held.all:
                index.compact()
            self._save()
            shutil.rmtree(self.path / BULK, ignore_errors=True)

        self._writer.alone(work)

    def alone(self, work: Callable[[], Result]) -> Result:
        """Runs `work()` while nothing is written."""
        return self._writer.alone(work)

    @property
    def view(self) -> View:
        return self._columns.view

    @property
    def held(self) -> Held:
        return self._holdings.now

    def close(self) -> None:
        """Finishes what was accepted and saves what is derived."""
        self._upkeep.stop()
        self._builder.abandon()
        self._writer.close()
        try:
            if self._unsaved:
                self._save()
        except (OSError, RetrievalError):
            log.exception("gallery %s: saving what is derived failed; the next start makes it again", self.name)
        finally:
            self.truth.close()

    # ---- within ------------------------------------------------------------------------------------------------------

    def _now(self) -> datetime:
        """The time, which does not go back behind the last write: what has expired stays so."""
        return max(datetime.now(UTC), self.truth.latest_time())

    def _keys(self, filter: Filter, at: datetime, strict: bool) -> Keys:
        view, mask = self._allowed(filter, at, strict)
        return view.keys[mask]

    def _allowed(self, filter: Filter, at: datetime, strict: bool) -> tuple[View, Mask]:
        """The columns, and which places of them the filter allows at that time."""
        view = self._columns.view
        mask = allowed(view, filter, microseconds(at), self.truth.keys_with_metadata, strict=strict)
        return view, view.alive if mask is None else mask

    def _take_up(self, transaction: Transaction) -> None:
        """After a commit: makes it searchable, then lets go of crops that nobody names any more."""
        try:
            self._holdings.apply([row.key for row in transaction.added], transaction.vectors, transaction.removed)
            self._columns.apply(transaction.added, transaction.removed)
            self._holdings.settle()
        except Exception as error:
            # What is in memory cannot be trusted any more, the truth can.
            log.exception("gallery %s: a commit could not be taken up; reading everything anew", self.name)
            try:
                columns = Columns(self.truth.rows())
                plain = ExactIndex.build(self.truth.vectors(), columns.view.keys)
                self._holdings.now = Held(plain=plain, keeps_graph=self._holdings.now.keeps_graph)
                self._columns = columns
            except Exception:
                raise UnavailableError(
                    f"gallery {self.name!r} has stored what was written but cannot search it ({error}): restart"
                ) from error
        self._unsaved += len(transaction.added) + len(transaction.removed)
        with self._progress:
            self._taken_up_change = self.truth.change
            self._progress.notify_all()
        for sha256 in transaction.orphaned_crops:
            self.crops.remove(sha256)
        if transaction.orphaned_crops:
            reached("crops unlinked")

    def _wait_until_taken_up(self) -> None:
        with self._progress:
            self._progress.wait_for(lambda: self._taken_up_change >= self.truth.change, PATIENCE)

    def _build(self) -> bool:
        self._builder.start()
        return False

    def _save_if_due(self) -> bool:
        due = self._unsaved >= max(UNSAVED, len(self._columns) // 5)
        if due and self._writer.idle_seconds >= SETTLED and self._builder.under_way is None:
            self.save()
        return False

    def _save(self) -> None:
        derived.save(self.path / DERIVED, self.truth.lineage, self.settings, self.truth.change, self._holdings.now)
        self._unsaved, self.problems = 0, ()

    def _places_left(self) -> tuple[str, ...]:
        """Where something of deleted items may be left until the gallery is compacted."""
        places = ["the database's write-ahead log and its list of deletions since the last compaction"]
        manifest = derived.believed(self.path / DERIVED)
        if manifest is not None and (manifest.graph or manifest.approximate):
            places.append("the saved graph and index")
        if (self.path / BULK).exists():
            places.append("the graph that vantage gallery build-graph has begun")
        return (*places, "snapshots made before")
