"""A gallery comes over from a snapshot: first all of it, later what has changed since, while others search the copy.

Keys are never used again and a replaced item has a new one, so what differs between the two is what differs between the
two sets of keys. That is why a copy that was stopped is gone on with in the same way as one that is to catch up.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from service.gallery.embedded import snapshots
from service.gallery.embedded.crops import CropStore
from service.gallery.embedded.manifest import Manifest
from service.gallery.embedded.preparing import Written
from service.gallery.embedded.truth import Erased
from service.gallery.engine import Progress
from service.gallery.errors import BadItemError, CorruptError, ExistsError
from service.gallery.milvus import gallery_file, schema
from service.gallery.milvus.comparing import compare, pictures_of
from service.gallery.milvus.copies import Copies, Copy
from service.gallery.milvus.entry import Entry
from service.gallery.milvus.expressions import one_of
from service.gallery.milvus.gallery_file import FileReader, Kept
from service.gallery.milvus.registry import Registry
from service.gallery.milvus.remembered import Remembered
from service.gallery.milvus.rows import entity, in_blocks
from service.gallery.milvus.scanning import all_keys, by_keys
from service.gallery.milvus.server import Entity, Server
from service.gallery.milvus.turns import Turns
from service.gallery.milvus.writing import NAMED, Writes
from service.gallery.settings import IndexKind

CROPS = "crops"  # of a snapshot
AT_ONCE = 500  # items that come or go in one turn, between which others may write, and the copy be stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What became of a copy.

    items      in the copy now. added: of these, written now, new ones and replaced ones. unchanged: there before.
    removed    items that were deleted where it is copied from, or have expired.
    verified   items that were read back and are what the snapshot says, and pictures, which are too; 0 where there was
               nothing new.
    first      whether it has become a gallery now. up_to_date: whether there was nothing new.
    """

    gallery: str
    source: str
    change: int
    items: int
    added: int
    removed: int
    unchanged: int
    verified: int
    pictures: int
    first: bool
    up_to_date: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class _Run:
    """file, kept: the snapshot's. What has expired by `alive_at` stays behind."""

    snapshot: Path
    manifest: Manifest
    file: FileReader
    kept: Kept
    alive_at: int
    told: Progress

    @property
    def pictures(self) -> CropStore:
        return CropStore(self.snapshot / CROPS)


@dataclass(frozen=True, slots=True)
class _Brought:
    added: int
    removed: int
    unchanged: int


class Copying:
    def __init__(
        self,
        server: Server,
        registry: Registry,
        remembered: Remembered,
        copies: Copies,
        turns: Turns,
        writes: Writes,
        crops: Callable[[Entry], CropStore],
        clear: Callable[[str], None],
    ) -> None:
        """clear: drops a collection that nobody names."""
        self._server, self._registry, self._remembered, self._copies = server, registry, remembered, copies
        self._turns, self._writes, self._crops, self._clear = turns, writes, crops, clear

    def copy(self, snapshot: Path, name: str | None, index: IndexKind | None, progress: Progress | None) -> Copied:
        began = time.monotonic()
        manifest = snapshots.read(snapshot)
        to = name or manifest.gallery
        with self._turns.here(f"copy_{to}"), self._turns.everywhere(f"copy_{to}"):
            entry = self._copied_before(to, snapshot, manifest, index)
            copied = None if entry is None else self._if_up_to_date(entry, manifest)
            if copied is None:
                with gallery_file.reading(snapshots.database_of(snapshot)) as file:
                    kept = file.kept()
                    alive_at = max(time.time_ns() // 1_000, kept.latest)
                    run = _Run(snapshot, manifest, file, kept, alive_at, progress or (lambda stage, done, of: None))
                    copied = self._first(to, index, run) if entry is None else self._again(entry, run)
        return replace(copied, seconds=round(time.monotonic() - began, 3))

    # ---- what there is already ---------------------------------------------------------------------------------------

    def _copied_before(self, to: str, snapshot: Path, source: Manifest, index: IndexKind | None) -> Entry | None:
        """The gallery of that name, which has to be a copy that can catch up; None if there is none."""
        if to not in self._registry.names():
            return None
        entry = self._registry.entry(to)
        copy = self._copies.of(entry.collection)
        anew = f"copy it under another name with --as, or drop gallery {to!r} on Milvus first"
        if copy is None or copy.source != source.identity:
            raise ExistsError(f"gallery {to!r} on Milvus is no copy of gallery {source.gallery!r}: {anew}")
        if copy.lineage != source.lineage:
            raise ExistsError(
                f"gallery {source.gallery!r} was restored from a snapshot since it was copied to {to!r} on Milvus, and "
                f"what was added since cannot be told from what was there: {anew}"
            )
        _require_faithful(copy, entry)
        if source.change < copy.source_change:
            raise BadItemError(
                f"snapshot {snapshot.name} is of change {source.change}, and gallery {to!r} on Milvus has come to "
                f"change {copy.source_change}: take a new snapshot"
            )
        if index not in (None, entry.settings.index):
            raise BadItemError(
                f"gallery {to!r} on Milvus was made with index {entry.settings.index}, and that stays: leave --index "
                f"out, or copy it under another name with --as"
            )
        return entry

    def _if_up_to_date(self, entry: Entry, source: Manifest) -> Copied | None:
        copy = self._copies.of(entry.collection)
        if copy is None or not copy.whole or copy.source_change != source.change:
            return None
        count = self._server.count(entry.collection, "", entry.seen)
        return _told(entry, source, count, _Brought(0, 0, count), up_to_date=True)

    def _begun(self, to: str, index: IndexKind | None, run: _Run) -> Copy:
        """The collection that is to become the gallery: the one that was begun, if it can be gone on with."""
        source, before = run.manifest, self._copies.unpublished(to)
        if before is not None:
            kind = before.settings.index if index is None else index
            settings = run.kept.settings.model_copy(update={"index": kind})
            same = before.source_change <= source.change and before.settings == settings
            if same and before.is_of(source.identity, source.lineage) and self._is_there(before.collection):
                return self._copies.begin(replace(before, source_change=source.change, change=run.kept.change))
            self._registry.give_up(before.collection)
            self._clear(before.collection)
        settings = run.kept.settings.model_copy(update={} if index is None else {"index": index})
        collection = self._registry.reserve()
        schema.make(self._server, collection, settings)
        return self._copies.begin(
            Copy(collection, to, settings, source.identity, source.lineage, source.change, False, run.kept.change)
        )

    def _is_there(self, collection: str) -> bool:
        return bool(self._server.change(lambda client: client.has_collection(collection)))

    # ---- the first time, and later ones ------------------------------------------------------------------------------

    def _first(self, to: str, index: IndexKind | None, run: _Run) -> Copied:
        """Nobody sees what is copied until all of it is there, and was found to be sound."""
        copy, kept = self._begun(to, index, run), run.kept
        entry = replace(kept.entry(to, copy.collection, 1), settings=copy.settings)
        if to != run.manifest.gallery:  # as with a restored one, its deletions do not concern the first one's snapshots
            entry = replace(entry, identity=secrets.token_hex(16))
        brought = self._bring(entry, run, self._remove_unseen, self._put_unseen)
        try:
            verified, pictures = self._verify(entry, run)
        except CorruptError as error:
            self._registry.give_up(copy.collection)
            self._clear(copy.collection)
            raise CorruptError(f"{error}: it was not published; run the same again, which begins anew") from error
        self._crops(entry).sweep(pictures)
        self._copies.whole(copy.collection)
        erased = _as_here(kept.erased, run.manifest.lineage, entry.lineage)
        self._registry.publish(
            replace(entry, seen=self._server.time()), feedback=kept.feedback, erased=erased, denied=kept.denied
        )
        return _told(entry, run.manifest, verified, brought, verified=verified, pictures=len(pictures), first=True)

    def _again(self, entry: Entry, run: _Run) -> Copied:
        """What was deleted goes first. Each item is whole at every moment, and all of them are when this is done."""
        kept, source = run.kept, run.manifest
        with self._turn(entry) as entry:
            copy = self._copies.of(entry.collection)
            assert copy is not None
            self._copies.begin(replace(copy, source_change=source.change))
        brought = self._bring(entry, run, self._remove_in_turn, self._put_in_turn)
        with self._turn(entry) as entry:
            deleted = (*self._remembered.purge_list(entry), *kept.erased)
            erased = _as_here(deleted, source.lineage, entry.lineage)
            self._copies.settle(entry, kept.change, kept.latest, kept.next_key, kept.feedback, erased, kept.denied)
        try:
            verified, pictures = self._verify(entry, run)
        except CorruptError as error:
            with self._turn(entry):  # else it is what somebody else has written
                pass
            raise CorruptError(
                f"{error}: copy it anew with --as NEW, and put that in the place of this one with `vantage gallery "
                f"rename NEW {entry.name} --replace`"
            ) from error
        with self._turn(entry):
            self._crops(entry).sweep(pictures)  # those whose items went when a copy was stopped
            self._copies.whole(entry.collection)
        return _told(entry, source, verified, brought, verified=verified, pictures=len(pictures))

    def _bring(
        self,
        entry: Entry,
        run: _Run,
        remove: Callable[[Entry, list[int], _Run], int],
        put: Callable[[Entry, Sequence[Written], _Run], None],
    ) -> _Brought:
        entry = replace(entry, seen=self._server.time())  # also what a copy that was stopped has not acknowledged
        there, wanted = all_keys(self._server, entry), run.file.keys(alive_at=run.alive_at)
        gone, missing = np.setdiff1d(there, wanted), np.setdiff1d(wanted, there)
        removed = done = 0
        for keys in in_blocks(gone.tolist(), AT_ONCE):
            removed += remove(entry, keys, run)
            done += len(keys)
            run.told("removed", done, len(gone))
        done = 0
        for keys in in_blocks(missing.tolist(), AT_ONCE):
            for items in run.file.items(keys):
                put(entry, items, run)
                done += len(items)
                run.told("copied", done, len(missing))
        return _Brought(len(missing), removed, len(wanted) - len(missing))

    # ---- blocks of it ------------------------------------------------------------------------------------------------

    def _remove_unseen(self, entry: Entry, keys: list[int], run: _Run) -> int:
        gone = self._of_no_item_any_more(entry, keys, run)
        self._server.delete(entry.collection, one_of("id", [one["id"] for one in gone]))
        return len(gone)

    def _remove_in_turn(self, entry: Entry, keys: list[int], run: _Run) -> int:
        with self._turn(entry) as now:
            gone = self._of_no_item_any_more(entry, keys, run)
            self._writes.erase(now, gone, faithful=True)
        return len(gone)

    def _of_no_item_any_more(self, entry: Entry, keys: list[int], run: _Run) -> list[Entity]:
        """Without those that were replaced, whose ids are about to be written anew."""
        found = by_keys(self._server, entry, keys, NAMED)
        staying = run.file.ids_among([one["id"] for one in found], alive_at=run.alive_at)
        return [one for one in found if one["id"] not in staying]

    def _put_unseen(self, entry: Entry, items: Sequence[Written], run: _Run) -> None:
        run.pictures.link_into(self._crops(entry), pictures_of(items))
        self._server.upsert(entry.collection, [entity(one) for one in items])

    def _put_in_turn(self, entry: Entry, items: Sequence[Written], run: _Run) -> None:
        with self._turn(entry) as now:
            replaced = self._writes.by_ids(now, [one.stored.id for one in items], fields=NAMED)
            pictures = pictures_of(items)
            run.pictures.link_into(self._crops(now), pictures)
            self._registry.keys_up_to(now, items[-1].stored.key)
            seen = self._server.upsert(now.collection, [entity(one) for one in items])
            latest = max(one.stored.added_at for one in items)
            self._registry.wrote(now, seen, latest, faithful=True)
            self._writes.unlink(now, {one["crop"] for one in replaced if one["has_crop"]} - pictures, seen)

    @contextmanager
    def _turn(self, entry: Entry) -> Iterator[Entry]:
        """A turn to write to a copy that nobody else has written to."""
        with self._writes.turn(entry) as now:
            _require_faithful(self._copies.of(now.collection), now)
            yield now

    def _verify(self, entry: Entry, run: _Run) -> tuple[int, set[str]]:
        """How many items the copy has, and their pictures; CorruptError unless both are what the snapshot says."""
        entry = replace(self._registry.again(entry) or entry, seen=self._server.time())
        of = run.manifest.count
        return compare(
            self._server, entry, self._crops(entry), run.file, run.alive_at, lambda done: run.told("verified", done, of)
        )


def _require_faithful(copy: Copy | None, entry: Entry) -> None:
    if copy is None or copy.change != entry.change:
        raise ExistsError(
            f"gallery {entry.name!r} on Milvus was written to since it was copied, so it is no copy any more, and "
            "copying again would lose what was written: write to one of the two only; to begin anew, copy under "
            f"another name with --as NEW, and put that in its place with `vantage gallery rename NEW {entry.name} "
            "--replace`"
        )


def _as_here(erased: Iterable[Erased], source: str, here: str) -> list[Erased]:
    """What was deleted there is deleted here, for the keys are the same. Of two that speak of one id, the later."""
    up_to: dict[tuple[str, str], int] = {}
    for pair in erased:
        of = (pair.id, here if pair.lineage == source else pair.lineage)
        up_to[of] = max(pair.up_to_key, up_to.get(of, 0))
    return [Erased(id, lineage, key) for (id, lineage), key in up_to.items()]


def _told(
    entry: Entry,
    source: Manifest,
    items: int,
    brought: _Brought,
    *,
    verified: int = 0,
    pictures: int = 0,
    first: bool = False,
    up_to_date: bool = False,
) -> Copied:
    return Copied(
        gallery=entry.name,
        source=source.gallery,
        change=source.change,
        items=items,
        added=brought.added,
        removed=brought.removed,
        unchanged=brought.unchanged,
        verified=verified,
        pictures=pictures,
        first=first,
        up_to_date=up_to_date,
        seconds=0.0,
    )
