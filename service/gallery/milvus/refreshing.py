"""What is to be done by and by: purging what has expired, and noting what re-ranking has to know of neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from retrieval import RetrievalError
from retrieval.gpu_search import Device
from retrieval.rerank import GraphDirectory
from retrieval.rerank.graph_directory import Mapper
from service.gallery.engine import Progress
from service.gallery.errors import UnavailableError
from service.gallery.milvus.entry import Entry
from service.gallery.milvus.registry import Registry
from service.gallery.milvus.reranking import as_text
from service.gallery.milvus.rows import DESCRIBING, entity, in_blocks, vectors, written
from service.gallery.milvus.scanning import all_keys, by_keys
from service.gallery.milvus.server import Server
from service.gallery.milvus.writing import Writes

Vectors = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
AT_ONCE = 500  # rows written in one turn, between which others may write
KEYS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """purged: items that had expired. items: in the gallery. added, removed: since the last time. noted: rows that were
    written."""

    gallery: str
    purged: int
    items: int
    added: int
    removed: int
    noted: int


class Refreshing:
    def __init__(self, server: Server, registry: Registry, writes: Writes) -> None:
        self._server, self._registry, self._writes = server, registry, writes

    def refresh(
        self, entry: Entry, folder: Path, device: Device, mapper: Mapper, progress: Progress | None
    ) -> Refreshed:
        """Purges what has expired, then as `note`."""
        purged = self._writes.purge_expired(entry)
        entry = self._registry.again(entry) or entry
        return replace(self.note(entry, folder, device, mapper, progress), purged=purged)

    def note(self, entry: Entry, folder: Path, device: Device, mapper: Mapper, progress: Progress | None) -> Refreshed:
        """Brings the neighbour lists in `folder` up to the gallery, and what of them has changed into the collection.

        Searching and writing go on. Stopped at any moment, the next call goes on where it was.
        """
        told = progress or (lambda stage, done, of: None)
        graph = GraphDirectory(folder, entry.settings.reranking)
        try:
            known = graph.keys
            now = all_keys(self._server, entry)
            added, removed = np.setdiff1d(now, known), np.setdiff1d(known, now)
            graph.update(self._vectors(entry, added), removed, device=device, progress=told, mapper=mapper)
            noted = 0
            for number, keys, rows in graph.waiting():
                noted += self._note(entry, dict(zip(keys.tolist(), rows, strict=True)))
                graph.acknowledge(number)
                told("noted", noted, len(now))
        except RetrievalError as error:
            raise UnavailableError(f"the neighbours of gallery {entry.name!r} cannot be noted now: {error}") from error
        return Refreshed(
            gallery=entry.name, purged=0, items=len(now), added=len(added), removed=len(removed), noted=noted
        )

    def _vectors(self, entry: Entry, keys: npt.NDArray[np.int64]) -> Iterator[Vectors]:
        """The vectors of these items, in order of their keys; one that has gone meanwhile is left out."""
        for block in in_blocks(keys.tolist(), KEYS_AT_ONCE):
            if found := by_keys(self._server, entry, block, ("key", "vector")):
                yield np.fromiter((int(one["key"]) for one in found), np.int64, len(found)), vectors(found)

    def _note(self, entry: Entry, rows: dict[int, bytes]) -> int:
        """Writes rows beside their items, of those that are still there; returns how many these were."""
        count = 0
        for block in in_blocks(rows, AT_ONCE):
            with self._writes.turn(entry) as now:
                there = by_keys(self._server, now, block, (*DESCRIBING, "vector"))
                noted = [entity(written(one)) | {"near": as_text(rows[int(one["key"])])} for one in there]
                if noted:
                    self._registry.noted(now, self._server.upsert(now.collection, noted))
                count += len(noted)
        return count
