"""Leaves nothing on disk of what was deleted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from service.gallery.embedded import snapshots
from service.gallery.embedded.gallery import EmbeddedGallery
from service.gallery.embedded.steps import reached
from service.gallery.reports import CompactReceipt


def compact(gallery: EmbeddedGallery, snapshot_folder: Path) -> CompactReceipt:
    """Snapshots first, then the derived files, the crops and last the database, whose list of deletions says what is
    still to be done: stopped half-way, it is done again from the start."""
    before = _size(gallery.path)
    rewritten: list[str] = []
    erased = gallery.truth.erased()
    for info in snapshots.of_gallery(snapshot_folder, gallery.truth):
        if snapshots.scrub(info.path, erased):
            rewritten.append(f"snapshot {info.name}")
            reached("snapshot scrubbed")

    def work() -> None:
        gallery.compact_derived()
        rewritten.append("derived files")
        gallery.crops.sweep(gallery.truth.crop_hashes())
        gallery.truth.compact(erased)
        rewritten.append("database")

    gallery.alone(work)
    return CompactReceipt(
        gallery=gallery.name,
        at=datetime.now(UTC),
        purged=len(erased),
        rewritten=tuple(rewritten),
        bytes_before=before,
        bytes_after=_size(gallery.path),
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
