"""Snapshots: a gallery's database and crops at one moment, each in a directory that bears its name when it is whole."""

from __future__ import annotations

import errno
import json
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from service.gallery.embedded import manifest as manifests
from service.gallery.embedded.crops import CropStore
from service.gallery.embedded.database import read_only_copy, told
from service.gallery.embedded.manifest import MANIFEST, Manifest, read
from service.gallery.embedded.steps import reached
from service.gallery.embedded.syncing import copy_synced, full_disk_told, sha256_of, sync
from service.gallery.embedded.truth import Erased, Truth
from service.gallery.errors import CorruptError, GalleryError, NoSuchSnapshotError
from service.gallery.reports import Finding, SnapshotInfo

__all__ = [
    "check",
    "database_of",
    "find",
    "listing",
    "of_gallery",
    "read",
    "remove",
    "restore_into",
    "scrub",
    "take",
    "tidy",
]

DATABASE = "gallery.sqlite"
CROPS = "crops"
UNUSABLE = "restore another snapshot, or take a new one, and remove this one"


def take(truth: Truth, crops: CropStore, folder: Path, gallery: str) -> SnapshotInfo:
    """A consistent copy of the gallery as it is now, in `folder`, named after the gallery and the time."""
    at = datetime.now(UTC)
    with _hidden(folder) as work, crops.held():
        with full_disk_told(folder):
            truth.copy_to(work / DATABASE)
            sync(work / DATABASE)
        reached("snapshot copied")
        change, count, hashes = _contents(work / DATABASE)
        crop_bytes = crops.link_into(CropStore(work / CROPS), hashes)
        reached("snapshot linked")
        manifest = Manifest(
            gallery=gallery,
            identity=truth.identity,
            lineage=truth.lineage,
            at=at,
            change=change,
            count=count,
            settings=truth.settings,
            database=DATABASE,
            database_bytes=(work / DATABASE).stat().st_size,
            database_sha256=sha256_of(work / DATABASE),
            crops=len(hashes),
            crop_bytes=crop_bytes,
        )
        manifests.write(work, manifest)
        reached("snapshot described")
        target = _named_anew(work, folder / f"{gallery}-{at:%Y%m%dt%H%M%S}")
        sync(folder)
    reached("snapshot named")
    return manifest.info(target)


def listing(folder: Path) -> tuple[SnapshotInfo, ...]:
    """All snapshots whose manifest can be read, the oldest first."""
    found = []
    for path in _named(folder):
        try:
            found.append(read(path).info(path))
        except CorruptError:
            continue  # `check` says what is wrong with it
    return tuple(sorted(found, key=lambda info: (info.at, info.name)))


def find(folder: Path, snapshot: str | Path) -> Path:
    """A snapshot of the directory by its name, or any by its path."""
    path = folder / snapshot if isinstance(snapshot, str) else snapshot
    if isinstance(snapshot, str) and (snapshot in (".", "..") or "/" in snapshot):
        raise NoSuchSnapshotError(f"a snapshot cannot be called {snapshot!r}: use a name that snapshots lists")
    if not path.is_dir():
        there = ", ".join(info.name for info in listing(folder)) or "none"
        raise NoSuchSnapshotError(f"there is no snapshot {str(snapshot)!r}; there are: {there}")
    return path


def database_of(snapshot: Path) -> Path:
    """A snapshot's database; CorruptError unless it is what was written."""
    manifest = read(snapshot)
    _verified(snapshot, manifest)
    return snapshot / manifest.database


def of_gallery(folder: Path, truth: Truth) -> tuple[SnapshotInfo, ...]:
    """The snapshots of this gallery, whatever it was called when they were taken."""
    return tuple(info for info in listing(folder) if read(info.path).identity == truth.identity)


def check(snapshot: Path) -> list[Finding]:
    """Holds a snapshot against its manifest and reads all of it."""
    findings: list[Finding] = []

    def report(problem: str, remedy: str = UNUSABLE, serious: bool = True) -> None:
        findings.append(Finding(place=f"snapshot {snapshot.name}", problem=problem, remedy=remedy, serious=serious))

    try:
        manifest = read(snapshot)
        _verified(snapshot, manifest)
        change, count, hashes = _contents(snapshot / manifest.database)
    except GalleryError as error:
        report(str(error))
        return findings
    if (change, count, len(hashes)) != (manifest.change, manifest.count, manifest.crops):
        report("its manifest is of another state than its database")
    for left in _left_over(snapshot, manifest):
        report(f"{left.name} does not belong to it", "nothing: the next `vantage gallery compact` removes it", False)
    for found in CropStore(snapshot / CROPS).check(hashes):
        report(found.problem, UNUSABLE if found.serious else found.remedy, found.serious)
    return findings


def restore_into(snapshot: Path, gallery: Path, *, name: str | None = None) -> None:
    """Copies a snapshot into a gallery's reserved directory; nothing is left there if it is not what was written.

    name  what the gallery will be called: under another name than its own it is another gallery from here on, with
          snapshots of its own. None: its own.
    """
    manifest = read(snapshot)
    with ExitStack() as undo, full_disk_told(gallery):
        undo.callback(shutil.rmtree, gallery / CROPS, ignore_errors=True)
        undo.callback((gallery / DATABASE).unlink, missing_ok=True)
        _verified(snapshot, manifest, gallery / DATABASE)
        reached("restore copied")
        _, _, hashes = _contents(gallery / DATABASE)
        CropStore(snapshot / CROPS).link_into(CropStore(gallery / CROPS), hashes)
        reached("restore linked")
        Truth.adopt(gallery / DATABASE, name=None if name in (None, manifest.gallery) else name)
        sync(gallery)
        undo.pop_all()
    reached("restore adopted")


def scrub(snapshot: Path, erased: Sequence[Erased]) -> bool:
    """Takes what was deleted out of a snapshot; returns whether anything had to be.

    The database without it is written beside the old one; then the manifest names it instead.
    """
    manifest = read(snapshot)
    old = snapshot / manifest.database
    scrubbed = False
    if _concerned(old, manifest, erased):
        scrubbed = True
        with _hidden(snapshot) as work:
            with full_disk_told(snapshot):
                _verified(snapshot, manifest, work / DATABASE)
            reached("scrub copied")
            new = snapshot / f"gallery-{secrets.token_hex(4)}.sqlite"
            with closing(Truth.open(work / DATABASE)) as truth:
                truth.scrub(erased)
                truth.copy_to(new)
            with full_disk_told(snapshot):
                sync(new)
                sync(snapshot)
        reached("scrub erased")
        change, count, hashes = _contents(new)
        size = sum(path.stat().st_size for path in (snapshot / CROPS).rglob("*") if path.name in hashes)
        manifest = manifest.model_copy(
            update={
                "change": change,
                "count": count,
                "database": new.name,
                "database_bytes": new.stat().st_size,
                "database_sha256": sha256_of(new),
                "crops": len(hashes),
                "crop_bytes": size,
            }
        )
        manifests.write(snapshot, manifest)
        reached("scrub described")
    # Also what a scrub that was stopped left.
    for left in _left_over(snapshot, manifest):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    CropStore(snapshot / CROPS).sweep(_contents(snapshot / manifest.database)[2])
    if scrubbed:
        reached("scrub removed")
    return scrubbed


def remove(snapshot: Path) -> None:
    """Removes a snapshot; from the first moment on it is not listed any more."""
    hidden = snapshot.with_name(f".{secrets.token_hex(8)}")
    snapshot.rename(hidden)
    sync(snapshot.parent)
    reached("snapshot hidden")
    shutil.rmtree(hidden)
    reached("snapshot removed")


def tidy(folder: Path) -> None:
    """Removes what was left of snapshots whose making, or removal, was stopped."""
    for path in folder.iterdir():
        if path.name.startswith(".") and path.is_dir():
            shutil.rmtree(path)


def _named(folder: Path) -> list[Path]:
    there = folder.iterdir() if folder.is_dir() else ()
    return [path for path in there if path.is_dir() and not path.name.startswith(".")]


def _named_anew(work: Path, wanted: Path) -> Path:
    """Gives a directory a name that no other has, if need be with a number behind it."""
    target, number = wanted, 1
    while True:
        try:
            return work.rename(target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            number += 1
            target = wanted.with_name(f"{wanted.name}-{number}")


@contextmanager
def _hidden(folder: Path) -> Iterator[Path]:
    """A directory to work in, which is gone afterwards unless it has been given a name."""
    work = folder / f".{secrets.token_hex(8)}"
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _verified(snapshot: Path, manifest: Manifest, copy: Path | None = None) -> None:
    """Reads, or copies, the database; CorruptError unless it is the one that the manifest names."""
    path = snapshot / manifest.database
    try:
        found = sha256_of(path) if copy is None else copy_synced(path, copy)
    except FileNotFoundError as error:
        raise CorruptError(f"{path} is not there: {UNUSABLE}") from error
    if found != manifest.database_sha256:
        raise CorruptError(
            f"{path} has sha256 {found[:12]}.., its manifest says {manifest.database_sha256[:12]}..: {UNUSABLE}"
        )


def _contents(database: Path) -> tuple[int, int, set[str]]:
    """A database's change number, its count of items, and the hashes of the crops that it keeps."""
    with told(database), closing(read_only_copy(database)) as connection:
        change, count = connection.execute("SELECT change, count FROM gallery").fetchone()
        return change, count, {crop for (crop,) in connection.execute("SELECT crop FROM items WHERE has_crop = 1")}


def _concerned(database: Path, manifest: Manifest, erased: Sequence[Erased]) -> bool:
    """Whether anything of these ids is in a snapshot."""
    ids = json.dumps([pair.id for pair in erased], ensure_ascii=False)
    with told(database), closing(read_only_copy(database)) as connection:
        listed = connection.execute(
            "SELECT 1 FROM erased WHERE id IN (SELECT value FROM json_each(?)) LIMIT 1", (ids,)
        ).fetchone()
        there = connection.execute(
            "SELECT id, key FROM items WHERE id IN (SELECT value FROM json_each(?))", (ids,)
        ).fetchall()
    keys = dict(there)
    return listed is not None or any(
        pair.id in keys and (pair.lineage != manifest.lineage or keys[pair.id] <= pair.up_to_key) for pair in erased
    )


def _left_over(snapshot: Path, manifest: Manifest) -> list[Path]:
    return [path for path in snapshot.iterdir() if path.name not in (MANIFEST, CROPS, manifest.database)]
