"""The stages of indexing, as they run on the machines of a cluster."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import ray

from models import Bundle, Device, InputSpec, ModelError, Session
from service.decoding import Task, Undecoded, decode
from service.gallery import GalleryEngine, GalleryError
from service.indexing.embedding import embed
from service.indexing.on_ray.lots import Lot, Row, as_row, lot_of
from service.indexing.records import undecoded

EngineOpener = Callable[[], GalleryEngine]
"""Opens the engine in whatever process it is called; it can be pickled."""


def decode_lot(row: Row, spec: InputSpec, keep: bool) -> Row:
    lot = lot_of(row)
    outcomes = decode(spec, [Task(record.content, known) for record, known in lot.wanted], keep)
    pairs = [(record, outcome) for (record, _), outcome in zip(lot.wanted, outcomes, strict=True)]
    bare = [(replace(record, content=b""), outcome) for record, outcome in pairs]
    decoded = [(record, of) for record, of in bare if not isinstance(of, Undecoded)]
    return as_row(
        replace(
            lot,
            wanted=(),
            decoded=tuple((record, of) for record, of in decoded if of.crop is not None),
            failures=tuple(undecoded(record, of) for record, of in bare if isinstance(of, Undecoded)),
            unchanged=sum(of.crop is None for _, of in decoded),
        )
    )


class EmbedLot:
    """An actor that holds a session, opened for its first lot, so that what goes wrong then comes back with it.

    bundle: a reference to one in the object store.
    """

    def __init__(self, bundle: Any, device: Device, threads: int, batch: int) -> None:
        self._bundle, self._device, self._threads, self._batch = bundle, device, threads, batch

    @cached_property
    def _session(self) -> Session:
        bundle: Bundle = ray.get(self._bundle)
        return Session(bundle, self._device, self._threads, self._batch)

    def __call__(self, row: Row) -> Row:
        lot = lot_of(row)
        try:
            items = embed(self._session, lot.decoded) if lot.decoded else []
        except ModelError as error:
            return as_row(Lot(error=error))
        return as_row(replace(lot, decoded=(), items=tuple(items)))


class CommitLot:
    """An actor with an engine of its own."""

    def __init__(self, opener: EngineOpener, gallery: str) -> None:
        self._opener, self._gallery = opener, gallery

    @cached_property
    def _engine(self) -> GalleryEngine:
        return self._opener()

    def __call__(self, row: Row) -> Row:
        lot = lot_of(row)
        try:
            results = self._engine.add(self._gallery, lot.items) if lot.items else ()
        except GalleryError as error:
            return as_row(Lot(error=error))
        return as_row(replace(lot, items=(), results=results))
