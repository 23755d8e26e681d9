"""Writes to a gallery, one after another among all processes; adds that wait beside each other share one."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from service.gallery.embedded.crops import CropStore
from service.gallery.embedded.rows import instant
from service.gallery.engine import OnConflict
from service.gallery.errors import BadItemError, NoSuchGalleryError, NoSuchItemError, UnavailableError
from service.gallery.filters import Filter
from service.gallery.items import NewItem, check_id
from service.gallery.milvus import adding
from service.gallery.milvus.entry import Entry
from service.gallery.milvus.expressions import alive, everyone, meets, one_of
from service.gallery.milvus.registry import Registry
from service.gallery.milvus.remembered import Remembered
from service.gallery.milvus.rows import DESCRIBING, entity, in_blocks, written
from service.gallery.milvus.scanning import scan_all
from service.gallery.milvus.server import MOST_ROWS, Entity, Server
from service.gallery.milvus.turns import Turns
from service.gallery.reports import AddResult, DeleteReceipt
from service.gallery.searching import Feedback

MOST_ITEMS = 4_000  # of waiting adds that share one write
IDS_AT_ONCE = 1_000  # in one expression
CROPS_AT_ONCE = 200
NAMED = ("id", "key", "crop", "has_crop")


@dataclass(slots=True, eq=False)
class _Adding:
    """Somebody's items on their way; the results, or what went wrong, once they have been written."""

    items: Sequence[NewItem]
    on_conflict: OnConflict
    results: tuple[AddResult, ...] | None = None
    error: Exception | None = None


class Writes:
    def __init__(
        self,
        server: Server,
        registry: Registry,
        remembered: Remembered,
        turns: Turns,
        crops: Callable[[Entry], CropStore],
    ) -> None:
        self._server, self._registry, self._remembered = server, registry, remembered
        self._turns, self._crops = turns, crops
        self._waiting: defaultdict[str, deque[_Adding]] = defaultdict(deque)

    @contextmanager
    def turn(self, entry: Entry) -> Iterator[Entry]:
        """Nobody else writes to the gallery within; gives it as it is now, with every deletion done or undone."""
        with self._turns.here(entry.collection), self._elsewhere(entry) as now:
            yield now

    # ---- adding ------------------------------------------------------------------------------------------------------

    def add(self, entry: Entry, items: Sequence[NewItem], on_conflict: OnConflict) -> tuple[AddResult, ...]:
        adding.check(entry, items)
        mine = _Adding(items, on_conflict)
        waiting = self._waiting[entry.collection]
        waiting.append(mine)
        with self._turns.here(entry.collection):
            while mine.results is None and mine.error is None:  # so much may wait that it takes several writes
                self._add_those_waiting(entry, waiting)
        if mine.error is not None:
            raise mine.error
        assert mine.results is not None
        return mine.results

    def _add_those_waiting(self, entry: Entry, waiting: deque[_Adding]) -> None:
        share: list[_Adding] = []
        while waiting and (not share or sum(len(one.items) for one in share) + len(waiting[0].items) <= MOST_ITEMS):
            share.append(waiting.popleft())
        try:
            with self._elsewhere(entry) as now:
                results = self._write(now, share)
        except BaseException as error:
            for one in share:
                one.error = error if isinstance(error, Exception) else UnavailableError("stopped: nothing was done")
            if not isinstance(error, Exception):
                raise
            return
        for one, theirs in zip(share, results, strict=True):
            one.results = theirs

    def _write(self, entry: Entry, share: Sequence[_Adding]) -> list[tuple[AddResult, ...]]:
        items = [item for one in share for item in one.items]
        time = entry.now
        there = {found["id"]: written(found) for found in self.by_ids(entry, {item.id for item in items}, "vector")}
        plan = adding.Plan(
            entry,
            time,
            there,
            self._remembered.denied(entry, {item.id for item in items}) if entry.settings.deny_erased else (),
            self._kept(
                entry, {item.crop_sha256 for item in items if item.crop is None and item.crop_sha256 is not None}
            ),
        )
        results = [plan.add(one.items, one.on_conflict) for one in share]
        if plan.items:
            orphans = plan.replaced_crops()
            first = self._registry.reserve_keys(entry, len(plan.items))
            if plan.pictures:
                self._crops(entry).put_all(list(plan.pictures.values()))
            seen = self._server.upsert(entry.collection, [entity(one) for one in plan.with_keys(first)])
            self._registry.wrote(entry, seen, time)
            self.unlink(entry, orphans - plan.pictures.keys(), seen)
        return results

    # ---- deleting ----------------------------------------------------------------------------------------------------

    def delete(
        self, entry: Entry, ids: Sequence[str] | None, filter: Filter | None, dry_run: bool, places: tuple[str, ...]
    ) -> DeleteReceipt:
        """places: where something of what is deleted is left until a compaction."""
        if (ids is None) == (filter is None):
            raise BadItemError("a delete names ids or gives a filter: give exactly one of the two")
        if filter is not None and filter.empty:
            raise BadItemError("a delete by an empty filter would delete everything: drop the gallery if that is meant")
        asked = None if ids is None else [check_id(id) for id in dict.fromkeys(ids)]
        at = entry.now
        removed: dict[str, int] = {}

        def named(entry: Entry) -> list[Entity]:
            if asked is None:
                assert filter is not None
                return list(scan_all(self._server, entry, everyone(alive(at), meets(filter)), NAMED))
            found = {one["id"]: one for one in self.by_ids(entry, asked, fields=NAMED)}
            return [found[id] for id in asked if id in found]

        if dry_run:
            found = named(entry)
        else:
            with self.turn(entry) as entry:
                found = named(entry)
                removed = self.erase(entry, found)
        there = {one["id"] for one in found}
        return DeleteReceipt(
            gallery=entry.name,
            ids=tuple(one["id"] for one in found),
            missing=() if asked is None else tuple(id for id in asked if id not in there),
            dry_run=dry_run,
            at=instant(at),
            removed=removed,
            pending=() if dry_run or not found else places,
        )

    def purge_expired(self, entry: Entry) -> int:
        if not self._server.count(entry.collection, f"expires_at <= {entry.now}", entry.seen):
            return 0
        with self.turn(entry) as entry:
            gone = list(scan_all(self._server, entry, f"expires_at <= {entry.now}", NAMED))
            self.erase(entry, gone, faithful=True)
        return len(gone)

    def erase(self, entry: Entry, gone: Sequence[Entity], *, faithful: bool = False) -> dict[str, int]:
        """Deletes entities, with the fields of NAMED, that are there; returns how much went, by place. In turn.

        faithful: if the gallery is a copy of another, it stays one.
        """
        ids = [one["id"] for one in gone]
        crops = feedback = 0
        if gone:
            self._remembered.about_to_erase(entry, [(one["id"], int(one["key"])) for one in gone], faithful=faithful)
            seen = entry.seen
            for block in in_blocks(ids, IDS_AT_ONCE):
                seen = self._server.delete(entry.collection, one_of("id", block))
            feedback = self._remembered.erased(entry, ids, seen, entry.latest, faithful=faithful)
            crops = self.unlink(entry, {one["crop"] for one in gone if one["has_crop"]}, seen)
        return {"database": len(ids), "index": len(ids), "graph": len(ids), "crops": crops, "feedback": feedback}

    # ---- feedback ----------------------------------------------------------------------------------------------------

    def add_feedback(self, entry: Entry, feedback: Sequence[Feedback]) -> None:
        named = {pair.item for pair in feedback} | {pair.probe_item for pair in feedback if pair.probe_item is not None}
        with self.turn(entry) as entry:
            there = {one["id"] for one in self.by_ids(entry, named, fields=("id",))}
            for id in sorted(named - there):
                raise NoSuchItemError(f"there is no item {id!r} in gallery {entry.name!r}")
            self._remembered.put_feedback(entry, feedback)

    # ---- within ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _elsewhere(self, entry: Entry) -> Iterator[Entry]:
        """The turn among processes, for the thread that has it in this one."""
        with self._turns.everywhere(entry.collection):
            now = self._registry.again(entry)
            if now is None:
                raise NoSuchGalleryError(f"gallery {entry.name!r} was dropped, or replaced, just now: nothing was done")
            if unfinished := self._remembered.unfinished(now):
                self._settle(now, unfinished)
                now = self._registry.again(entry) or now
            yield now

    def _settle(self, entry: Entry, unfinished: Sequence[tuple[str, int]]) -> None:
        """A process was stopped while it deleted these: finds out which are gone."""
        seen = (
            self._server.time()
        )  # nobody has acknowledged what it wrote, so the newest state there is has to be asked
        faithful = self._remembered.unfinished_faithfully(entry)
        newest = {id for id, _ in unfinished}
        left = {
            one["id"]
            for block in in_blocks(sorted(newest), IDS_AT_ONCE)
            for one in self._server.query(entry.collection, one_of("id", block), ("id",), seen)
        }
        if left:
            self._remembered.not_erased(entry, sorted(left))
        if newest - left:
            self._remembered.erased(entry, sorted(newest - left), seen, entry.latest, faithful=faithful)

    def by_ids(
        self, entry: Entry, ids: Sequence[str] | set[str], *more: str, fields: Sequence[str] = DESCRIBING
    ) -> list[Entity]:
        return [
            found
            for block in in_blocks(sorted(ids) if isinstance(ids, set) else ids, IDS_AT_ONCE)
            for found in self._server.query(entry.collection, one_of("id", block), [*fields, *more], entry.seen)
        ]

    def _kept(self, entry: Entry, crops: set[str], seen: int | None = None) -> set[str]:
        """Those of the pictures that an item names which keeps its own."""
        if not entry.settings.store_crops:
            return set()
        seen, keeps = entry.seen if seen is None else seen, "has_crop == true"
        found: set[str] = set()
        for block in in_blocks(sorted(crops), CROPS_AT_ONCE):
            rows = self._server.query(entry.collection, everyone(one_of("crop", block), keeps), ("crop",), seen)
            found.update(row["crop"] for row in rows)
            if len(rows) == MOST_ROWS:  # of some there are so many that others may have been left out
                found.update(
                    crop
                    for crop in block
                    if self._server.count(entry.collection, everyone(one_of("crop", [crop]), keeps), seen)
                )
        return found

    def unlink(self, entry: Entry, crops: set[str], seen: int) -> int:
        """Removes pictures that no item names any more; returns how many that were."""
        orphans = sorted(crops - self._kept(entry, crops, seen)) if crops else []
        for crop in orphans:
            self._crops(entry).remove(crop)
        return len(orphans)
