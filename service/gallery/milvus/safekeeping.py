"""Snapshots, restoring, verifying and compacting; a snapshot is what the embedded engine's is, so either reads both."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service.gallery.embedded import snapshots
from service.gallery.embedded.crops import CropStore
from service.gallery.embedded.truth import Truth
from service.gallery.errors import UnavailableError
from service.gallery.milvus import gallery_file, schema
from service.gallery.milvus.entry import Entry
from service.gallery.milvus.gallery_file import GalleryFile
from service.gallery.milvus.registry import Registry
from service.gallery.milvus.remembered import Remembered
from service.gallery.milvus.rows import DESCRIBING, entity, stored, written
from service.gallery.milvus.scanning import scan, scan_all
from service.gallery.milvus.server import SETTING_UP, Entity, Server
from service.gallery.milvus.turns import Turns
from service.gallery.milvus.writing import Writes
from service.gallery.reports import CompactReceipt, Finding, SnapshotInfo, VerifyReport

DATABASE, CROPS = "gallery.sqlite", "crops"
WHOLE = (*DESCRIBING, "vector")
LONGEST_UNIT = 1e-2  # by which a vector's length may differ from 1


class Safekeeping:
    def __init__(
        self,
        server: Server,
        registry: Registry,
        remembered: Remembered,
        turns: Turns,
        writes: Writes,
        crops_directory: Path,
        snapshots_directory: Path,
    ) -> None:
        self._server, self._registry, self._remembered = server, registry, remembered
        self._turns, self._writes = turns, writes
        self._crops_directory, self._snapshots_directory = crops_directory, snapshots_directory

    # ---- snapshots ---------------------------------------------------------------------------------------------------

    def take(self, entry: Entry) -> SnapshotInfo:
        """Everything is read while others write; what they have written meanwhile is read again in turn, so that the
        snapshot is of the moment at which it ends."""
        with self._keeping(entry), _hidden(self._snapshots_directory) as work:
            crops, pictures = CropStore(self._crops_directory / entry.collection), CropStore(work / CROPS)
            with GalleryFile(work / DATABASE, entry) as file:
                for block in scan(self._server, entry, "", WHOLE):
                    _keep(file, block, crops, pictures)
                with self._writes.turn(entry) as now:
                    for block in scan(self._server, now, "", WHOLE, after_key=entry.next_key - 1):
                        _keep(file, block, crops, pictures)
                    erased = self._remembered.purge_list(now)
                    file.remove(pair for pair in erased if pair.lineage == now.lineage)
                    file.finish(now, self._remembered.feedback(now), erased, self._remembered.all_denied(now))
            with closing(Truth.open(work / DATABASE)) as truth:
                return snapshots.take(truth, pictures, self._snapshots_directory, now.name)

    def listing(self) -> tuple[SnapshotInfo, ...]:
        return snapshots.listing(self._snapshots_directory)

    def remove(self, snapshot: str) -> None:
        snapshots.remove(self._path(snapshot))

    def restore(self, snapshot: str | Path, name: str | None, replace: bool) -> tuple[str, str | None]:
        """Returns the gallery's name, and the collection of the one that it replaced."""
        source = self._path(snapshot)
        original = snapshots.read(source).gallery
        to = name or original
        if not replace:
            self._registry.check_free(to)
        collection = self._registry.reserve()
        try:
            with _hidden(self._crops_directory) as work:
                snapshots.restore_into(source, work, name=None if to == original else to)
                with gallery_file.reading(work / DATABASE) as file:
                    kept = file.kept()
                    schema.make(self._server, collection, kept.settings)
                    seen = 1
                    for block in file.items():
                        seen = self._server.upsert(collection, [entity(one) for one in block])
                if (work / CROPS).is_dir():
                    (work / CROPS).rename(self._crops_directory / collection)
            entry = kept.entry(to, collection, seen)
            gone = self._registry.publish(
                entry, replace=replace, feedback=kept.feedback, erased=kept.erased, denied=kept.denied
            )
        except BaseException:
            with suppress(UnavailableError):  # then it is dropped some other time
                schema.drop(self._server, collection)
            raise
        return to, gone

    # ---- looking after -----------------------------------------------------------------------------------------------

    def verify(self, entry: Entry) -> VerifyReport:
        """Reads every item, every picture and every snapshot of the gallery; pictures while nobody else writes."""
        mine = [info.path for info in self.listing() if info.gallery == entry.name]
        findings = [found for path in mine for found in snapshots.check(path)]
        checked = {"snapshots": len(mine), "items": 0, "crops": 0}
        last = 0
        for block in scan(self._server, entry, "", (*WHOLE, "seal")):
            checked["items"] += len(block)
            findings += _checked(block, last)
            last = int(block[-1]["key"]) if block else last
        if entry.settings.store_crops:
            with self._writes.turn(entry) as now:
                hashes = self._named_crops(now)
                findings += CropStore(self._crops_directory / now.collection).check(hashes)
                checked["crops"] = len(hashes)
        return VerifyReport(gallery=entry.name, checked=checked, findings=tuple(findings))

    def compact(self, entry: Entry) -> CompactReceipt:
        """Snapshots and pictures are rid of what was deleted at once; Milvus is asked to rewrite its segments, and
        removes the old ones when their time has come."""
        folder = self._crops_directory / entry.collection
        before, rewritten = _size(folder), []
        with self._keeping(entry):
            erased = self._remembered.purge_list(entry)
            for info in self.listing():
                if snapshots.read(info.path).identity == entry.identity and snapshots.scrub(info.path, erased):
                    rewritten.append(f"snapshot {info.name}")
            with self._writes.turn(entry) as now:
                if CropStore(folder).sweep(self._named_crops(now)):
                    rewritten.append("crops")
            self._server.change(lambda client: client.flush(entry.collection, timeout=SETTING_UP))
            self._server.change(lambda client: client.compact(entry.collection, timeout=SETTING_UP))
            rewritten.append("collection (Milvus rewrites it by and by)")
            self._remembered.purged(entry, erased)
        return CompactReceipt(
            gallery=entry.name,
            at=datetime.now(UTC),
            purged=len(erased),
            rewritten=tuple(rewritten),
            bytes_before=before,
            bytes_after=_size(folder),
        )

    # ---- within ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _keeping(self, entry: Entry) -> Iterator[None]:
        """No snapshot is taken while the gallery is compacted, whose list of deletions it needs."""
        name = f"{entry.collection}_keeping"
        with self._turns.here(name), self._turns.everywhere(name):
            yield

    def _named_crops(self, entry: Entry) -> set[str]:
        return {one["crop"] for one in scan_all(self._server, entry, "has_crop == true", ("key", "crop"))}

    def _path(self, snapshot: str | Path) -> Path:
        return snapshots.find(self._snapshots_directory, snapshot)


def _keep(file: GalleryFile, block: Sequence[Entity], crops: CropStore, pictures: CropStore) -> None:
    file.put([written(one) for one in block])
    hashes = {one["crop"] for one in block if one["has_crop"]}
    if hashes:
        crops.link_into(pictures, hashes)


def _checked(block: Sequence[Entity], last: int) -> list[Finding]:
    """What is wrong with items that were read; last: the key before the first."""
    if not block:
        return []
    keys = np.fromiter((int(one["key"]) for one in block), np.int64, len(block))
    lengths = np.linalg.norm(np.asarray([one["vector"] for one in block], np.float64), axis=1)
    wrong = {
        "are not what was written": [one["id"] for one in block if stored(one).seal != int(one["seal"])],
        "have a vector that is not of unit length": _ids(block, ~(np.abs(lengths - 1) < LONGEST_UNIT)),
        "share a key with another": _ids(block, np.diff(keys, prepend=last) <= 0),
    }
    return [
        Finding(
            place="collection",
            problem=f"{len(ids)} items {what}: {', '.join(map(repr, ids[:3]))}",
            remedy="add them again, or restore a snapshot with `vantage gallery restore`",
            serious=True,
        )
        for what, ids in wrong.items()
        if ids
    ]


def _ids(block: Sequence[Entity], wrong: npt.NDArray[np.bool_]) -> list[str]:
    return [block[at]["id"] for at in np.flatnonzero(wrong).tolist()]


@contextmanager
def _hidden(folder: Path) -> Iterator[Path]:
    """A directory to work in, which nobody lists and which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=".", dir=folder, ignore_cleanup_errors=True) as work:
        yield Path(work)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
