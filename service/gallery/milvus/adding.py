"""What adding items comes to, given what is there: pure, so that several callers' items can go in one write."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from service.gallery.embedded.preparing import Written, equal, expiry, prepared
from service.gallery.engine import OnConflict
from service.gallery.errors import BadItemError, ModelMismatchError
from service.gallery.items import NewItem
from service.gallery.milvus.entry import Entry
from service.gallery.reports import AddResult


@dataclass(slots=True)
class Plan:
    """What is to be written: `items` in order of adding, still without keys, and the pictures they need."""

    entry: Entry
    time: int
    there: Mapping[str, Written]
    denied: Collection[str]
    kept_crops: Collection[str]
    items: dict[str, Written] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)

    def add(self, items: Sequence[NewItem], on_conflict: OnConflict) -> tuple[AddResult, ...]:
        return tuple(self._add(item, on_conflict) for item in items)

    def with_keys(self, first: int) -> list[Written]:
        return [
            replace(written, stored=written.stored._replace(key=first + place))
            for place, written in enumerate(self.items.values())
        ]

    def replaced_crops(self) -> set[str]:
        """Kept pictures of items that are replaced."""
        return {
            crop
            for id in self.items
            if id in self.there and self.there[id].stored.has_crop and (crop := self.there[id].stored.crop) is not None
        }

    def _add(self, item: NewItem, on_conflict: OnConflict) -> AddResult:
        if item.id in self.denied:
            return AddResult(id=item.id, outcome="denied")
        there = self.items.get(item.id, self.there.get(item.id))
        # What has expired is not found any more, so it is no hindrance either.
        expired = there is not None and there.stored.expires_at is not None and there.stored.expires_at <= self.time
        since = there.stored.added_at if there is not None and not expired else self.time
        new = self._prepared(item, since)
        if there is not None and equal(there, new):
            return AddResult(id=item.id, outcome="unchanged")
        if there is not None and not expired and on_conflict == "refuse":
            return AddResult(id=item.id, outcome="refused")
        stored = new.stored._replace(expires_at=expiry(item, self.entry.settings, self.time))
        self.items.pop(item.id, None)  # its place is that of the last time it is given
        self.items[item.id] = replace(new, stored=stored)
        if stored.crop is not None and stored.has_crop and item.crop is not None:
            self.pictures[stored.crop] = item.crop
        return AddResult(id=item.id, outcome="replaced" if there is not None and not expired else "added")

    def _prepared(self, item: NewItem, since: int) -> Written:
        crop = crop_of(item)
        kept = False
        if crop is not None and self.entry.settings.store_crops:
            kept = item.crop is not None or crop in self.pictures or crop in self.kept_crops
        return prepared(item, self.entry.settings, self.time, since, crop, kept)


def crop_of(item: NewItem) -> str | None:
    return item.crop_sha256 or (None if item.crop is None else hashlib.sha256(item.crop).hexdigest())


def check(entry: Entry, items: Sequence[NewItem]) -> None:
    """Refuses items that this gallery cannot hold."""
    settings = entry.settings
    for item in items:
        if len(item.vector) != settings.dimension:
            raise ModelMismatchError(
                f"the vector of {item.id!r} has {len(item.vector)} dimensions and those of gallery "
                f"{entry.name!r} {settings.dimension}: use its model, {settings.model_name}"
            )
        if item.crop is not None and item.crop_sha256 is not None:
            found = hashlib.sha256(item.crop).hexdigest()
            if found != item.crop_sha256:
                raise BadItemError(
                    f"the crop of {item.id!r} has sha256 {found[:12]}.., not {item.crop_sha256[:12]}..: leave one out"
                )
