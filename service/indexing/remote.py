"""Pictures to a service that is running: it decodes, embeds and commits them; here they are only found and sent."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from service.gallery import Item
from service.images import LIMITS
from service.indexing.ahead import ahead
from service.indexing.chosen import chosen
from service.indexing.client import NDJSON, ServiceClient, path_of
from service.indexing.errors import IndexingError
from service.indexing.known import Known
from service.indexing.progress import Tally
from service.indexing.records import Failure, Record, Source
from service.indexing.shard import Shard

_PAGE = 1000
_ROWS, _BYTES = 64, 4 * 2**20  # of a request, at most
_AT_ONCE = 2  # requests under way: while one is embedded, the next is read and sent


class RemoteRun:
    """One pass over a source, to the gallery of a running service; made there if it is not there.

    Arguments and results as `IndexingRun`. The service's own limits on pictures hold.
    """

    def __init__(
        self,
        server: str,
        key: str | None,
        gallery: str,
        source: Source,
        *,
        store_crops: bool = False,
        shard: Shard | None = None,
        stop: Callable[[], bool] = lambda: False,
        failed: Callable[[Failure], None] = lambda failure: None,
    ) -> None:
        self._server, self._key, self._gallery, self._source = server, key, gallery, source
        self._shard = shard or Shard()
        self._stop, self._failed = stop, failed
        self.tally = Tally()
        self.count = 0
        with ServiceClient(server, key) as client:
            info = client.find(path_of("galleries", gallery))
            if info is None:
                body = json.dumps({"name": gallery, "store_crops": store_crops}).encode()
                info = client.post("/v1/galleries", body)
            keeps = bool(info["settings"]["store_crops"])
            if store_crops and not keeps:
                raise IndexingError(
                    f"gallery {gallery!r} was made without crops, and that stays: leave --store-crops out, or index "
                    "into another"
                )
            there = dict(_items(client, gallery)) if info["count"] else {}
        self._known = Known(there.get, empty=not there, keeps_crops=keeps, tells_viewpoint=True)

    def __call__(self, progressed: Callable[[Tally], None] | None = None) -> Tally:
        told = progressed or (lambda tally: None)
        with ExitStack() as open_things:
            clients: SimpleQueue[ServiceClient] = SimpleQueue()
            for _ in range(_AT_ONCE):
                clients.put(open_things.enter_context(ServiceClient(self._server, self._key)))
            senders = ThreadPoolExecutor(_AT_ONCE, "sender")
            open_things.callback(senders.shutdown, cancel_futures=True)

            def send(lot: list[tuple[Record, bytes]]) -> dict[str, Any]:
                client = clients.get()
                try:
                    body = b"".join(row for _, row in lot)
                    answer = client.post(path_of("galleries", self._gallery) + "/items:batch", body, NDJSON)
                    return dict(answer)
                finally:
                    clients.put(client)

            def start(lot: list[tuple[Record, bytes]]) -> Future[dict[str, Any]]:
                return senders.submit(send, lot)

            for lot, answer in ahead(_in_lots(self._rows()), start, _AT_ONCE):
                self._take(lot, answer)
                told(self.tally)
        with ServiceClient(self._server, self._key) as client:
            self.count = int(client.get(path_of("galleries", self._gallery))["count"])
        return self.tally

    def _rows(self) -> Iterator[tuple[Record, bytes]]:
        """What is to be sent: pictures that are not there yet as they are here, each id once."""
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
            elif hashlib.sha256(content).hexdigest() == self._known.hash_of(found.facts):
                self.tally.unchanged += 1
            else:
                yield found, _row(found, content)

    def _take(self, lot: list[tuple[Record, bytes]], answer: dict[str, Any]) -> None:
        for (record, _), row in zip(lot, answer["rows"], strict=True):
            if row["outcome"] == "failed":
                problem = row["problem"]
                self._fail(Failure(record.place, record.facts.id, _kind(problem), str(problem["detail"])))
            else:
                setattr(self.tally, row["outcome"], getattr(self.tally, row["outcome"]) + 1)

    def _fail(self, failure: Failure) -> None:
        self.tally.failed += 1
        self._failed(failure)


def _items(client: ServiceClient, gallery: str) -> Iterator[tuple[str, Item]]:
    cursor: str | None = None
    while True:
        after = "" if cursor is None else f"&cursor={cursor}"
        page = client.get(f"{path_of('galleries', gallery, 'items')}?limit={_PAGE}{after}")
        for told in page["items"]:
            yield told["id"], _item(told)
        cursor = page["cursor"]
        if cursor is None:
            return


def _item(told: dict[str, Any]) -> Item:
    viewpoint = told["viewpoint"]
    return Item(
        id=told["id"],
        camera=told["camera_id"],
        captured_at=_time(told["captured_at"]),
        person=told["person"],
        tracklet=told["tracklet_id"],
        viewpoint=None if viewpoint is None else (viewpoint[0], viewpoint[1], viewpoint[2]),
        quality=told["quality"],
        metadata=told["metadata"],
        added_at=datetime.fromisoformat(told["added_at"]),
        expires_at=_time(told["expires_at"]),
        crop_sha256=told["crop_sha256"],
        has_crop=told["crop_url"] is not None,
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _content(record: Record) -> bytes:
    return record.content.read_bytes() if isinstance(record.content, Path) else record.content


def _row(record: Record, content: bytes) -> bytes:
    facts = record.facts
    row: dict[str, Any] = {
        "id": facts.id,
        "image_b64": base64.b64encode(content).decode(),
        "camera_id": facts.camera,
        "captured_at": None if facts.captured_at is None else facts.captured_at.isoformat(),
        "person": facts.person,
        "tracklet_id": facts.tracklet,
        "viewpoint": facts.viewpoint,
        "quality": facts.quality,
        "metadata": dict(facts.metadata) or None,
        "expires_at": None if facts.expires_at is None else facts.expires_at.isoformat(),
    }
    return json.dumps({name: value for name, value in row.items() if value is not None}).encode() + b"\n"


def _kind(problem: dict[str, Any]) -> Any:
    known = ("image-too-large", "image-bomb", "unsupported-media-type", "undecodable-image")
    name = str(problem["type"]).rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    return name if name in known else "bad-facts"


def _in_lots(rows: Iterator[tuple[Record, bytes]]) -> Iterator[list[tuple[Record, bytes]]]:
    lot: list[tuple[Record, bytes]] = []
    size = 0
    for record, row in rows:
        if lot and (len(lot) == _ROWS or size + len(row) > _BYTES):
            yield lot
            lot, size = [], 0
        lot.append((record, row))
        size += len(row)
    if lot:
        yield lot
