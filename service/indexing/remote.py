"""Pictures to a service that is running: it decodes, embeds and commits them; here they are only found and sent."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast, get_args

from service.client import Added, Client, Gallery, NewItem, NotFoundError
from service.client import Item as Told
from service.gallery import Item
from service.images import LIMITS, BadImage
from service.indexing.chosen import chosen
from service.indexing.errors import IndexingError
from service.indexing.known import Known
from service.indexing.progress import Tally
from service.indexing.records import Failure, FailureKind, Record, Source
from service.indexing.shard import Shard
from service.stripping import without_metadata


class RemoteRun:
    """One pass over a source, to the gallery of a running service; made there if it is not there.

    Arguments and results as `IndexingRun`. The service's own limits on pictures hold.
    """

    def __init__(
        self,
        client: Client,
        gallery: str,
        source: Source,
        *,
        store_crops: bool = False,
        shard: Shard | None = None,
        stop: Callable[[], bool] = lambda: False,
        failed: Callable[[Failure], None] = lambda failure: None,
    ) -> None:
        self._client, self._gallery, self._source = client, gallery, source
        self._shard = shard or Shard()
        self._stop, self._failed = stop, failed
        self.tally = Tally()
        self.count = 0
        self._sent: dict[int, Record] = {}  # by their rows, until they are answered
        info = self._found_or_made(store_crops)
        keeps = bool(info.settings["store_crops"])
        if store_crops and not keeps:
            raise IndexingError(
                f"gallery {gallery!r} was made without crops, and that stays: leave --store-crops out, or index "
                "into another"
            )
        there = {item.id: _item(item) for item in client.items(gallery)} if info.count else {}
        self._known = Known(there.get, empty=not there, keeps_crops=keeps, tells_viewpoint=True)

    def __call__(self, progressed: Callable[[Tally], None] | None = None) -> Tally:
        before = Added()

        def took(added: Added) -> None:
            nonlocal before
            self._take(before, added)
            before = added
            if progressed is not None:
                progressed(self.tally)

        self._client.add_many(self._gallery, self._rows(), progress=took)
        self.count = self._client.gallery(self._gallery).count
        return self.tally

    def _found_or_made(self, store_crops: bool) -> Gallery:
        try:
            return self._client.gallery(self._gallery)
        except NotFoundError as error:
            if error.type != "no-such-gallery":
                raise
        return self._client.create(self._gallery, store_crops=store_crops)

    def _rows(self) -> Iterator[NewItem]:
        """What is to be sent: pictures that are not there yet as they are here, each id once."""
        numbers = itertools.count()
        for found in chosen(self._source, self._shard, self._stop, self._fail):
            id = found.facts.id
            try:
                content = _content(found)
            except OSError as error:
                self._fail(Failure(found.place, id, "unreadable", str(error)))
                continue
            if len(content) > LIMITS.bytes:
                problem = f"it is {len(content)} bytes: at most {LIMITS.bytes} are taken"
                self._fail(Failure(found.place, id, "image-too-large", problem))
            elif _is_kept_as(content, self._known.hash_of(found.facts)):
                self.tally.unchanged += 1
            else:
                self._sent[next(numbers)] = found
                yield _row(found, content)

    def _take(self, before: Added, now: Added) -> None:
        self.tally.added += now.added - before.added
        self.tally.replaced += now.replaced - before.replaced
        self.tally.unchanged += now.unchanged - before.unchanged
        for row in now.not_added[len(before.not_added) :]:
            if row.type == "erased-id":
                self.tally.denied += 1
            else:
                record = self._sent[row.row]
                self._fail(Failure(record.place, record.facts.id, _kind(row.type), row.sentence))
        for number in range(before.done, now.done):
            del self._sent[number]

    def _fail(self, failure: Failure) -> None:
        self.tally.failed += 1
        self._failed(failure)


def _is_kept_as(content: bytes, sha256: str | None) -> bool:
    """Whether a service that was sent this file has kept one of that hash: it leaves out its metadata."""
    if sha256 is None:
        return False
    if hashlib.sha256(content).hexdigest() == sha256:
        return True
    try:
        return hashlib.sha256(without_metadata(content)).hexdigest() == sha256
    except Exception:  # it is no picture; the service says so in its own words
        return False


def _item(told: Told) -> Item:
    return Item(
        id=told.id,
        camera=told.camera_id,
        captured_at=told.captured_at,
        person=told.person,
        tracklet=told.tracklet_id,
        viewpoint=told.viewpoint,
        quality=told.quality,
        metadata=told.metadata or {},
        added_at=told.added_at,
        expires_at=told.expires_at,
        crop_sha256=told.crop_sha256,
        has_crop=told.crop_url is not None,
    )


def _content(record: Record) -> bytes:
    return record.content.read_bytes() if isinstance(record.content, Path) else record.content


def _row(record: Record, content: bytes) -> NewItem:
    facts = record.facts
    return NewItem(
        id=facts.id,
        image=content,
        camera_id=facts.camera,
        captured_at=facts.captured_at,
        person=facts.person,
        tracklet_id=facts.tracklet,
        viewpoint=facts.viewpoint,
        quality=facts.quality,
        metadata=facts.metadata,
        expires_at=facts.expires_at,
    )


def _kind(type: str) -> FailureKind:
    return cast(FailureKind, type) if type in get_args(BadImage) else "bad-facts"
