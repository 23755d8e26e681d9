"""Pictures as files that are named by their own hash."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from service.gallery.embedded.steps import reached
from service.gallery.embedded.syncing import full_disk_told, sha256_of, sync
from service.gallery.errors import CorruptError
from service.gallery.reports import Finding

SHOWN = 3  # of what is wrong alike, so many are named
LOST = "add the items again with their crops, or restore a snapshot with `vantage gallery restore`"


class CropStore:
    """A directory of crops. One thread adds and removes, in step with the commits; any thread reads.

    An add puts its crops before it commits; a delete removes them after.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._holders = 0
        self._leaving: set[str] = set()

    def put(self, content: bytes) -> str:
        """Keeps a picture and returns its sha256; afterwards it is on the disk."""
        return self.put_all([content])[0]

    def put_all(self, contents: Sequence[bytes]) -> list[str]:
        """Keeps pictures, all or none of those that are new, and returns their sha256."""
        hashes = [hashlib.sha256(content).hexdigest() for content in contents]
        written: list[Path] = []
        changed: dict[Path, None] = {}
        with self._lock, full_disk_told(self.path):
            try:
                for sha256, content in zip(hashes, contents, strict=True):
                    self._leaving.discard(sha256)
                    target = self._file(sha256)
                    if not target.parent.is_dir():
                        target.parent.mkdir(parents=True)
                        changed.update({self.path.parent: None, self.path: None})
                    # Also where it is there already: a process that was stopped may not have come to it.
                    changed[target.parent] = None
                    if _size(target) != len(content):
                        written.append(target)
                        _write(target, content)
                for folder in changed:
                    sync(folder)
            except BaseException:
                for target in written:
                    target.unlink(missing_ok=True)
                raise
        reached("crops synced")
        return hashes

    def get(self, sha256: str) -> bytes:
        """The picture; CorruptError where it is gone or is not what it was."""
        path = self._file(sha256)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise CorruptError(f"the crop {path} is not there: {LOST}") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise CorruptError(f"the crop {path} is not what it was: {LOST}")
        return content

    def remove(self, sha256: str) -> None:
        """Unlinks a picture that no item names any more; later, while a snapshot is being made."""
        with self._lock:
            if self._holders:
                self._leaving.add(sha256)
            else:
                self._file(sha256).unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is unlinked within: what a database says that is read meanwhile stays there."""
        with self._lock:
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    for sha256 in self._leaving:
                        self._file(sha256).unlink(missing_ok=True)
                    self._leaving.clear()

    def hashes(self) -> set[str]:
        """Of all pictures that are there."""
        return {path.name for path in self._files() if _is_hash(path)}

    def sweep(self, expected: Collection[str]) -> int:
        """Removes what nobody names, and what a stop left half written; returns how many files that were."""
        with self._lock:
            orphans = [path for path in self._files() if not (_is_hash(path) and path.name in expected)]
            for path in orphans:
                if self._holders and _is_hash(path):
                    self._leaving.add(path.name)
                else:
                    path.unlink()
        return len(orphans)

    def link_into(self, other: CropStore, hashes: Collection[str]) -> int:
        """Puts pictures into another store, as links where the file system can; returns their bytes.

        One that is not here is left out: `check` says so, here and there.
        """
        total = 0
        with full_disk_told(other.path):
            folders = {other._file(sha256).parent for sha256 in hashes}
            for folder in sorted(folders):
                folder.mkdir(parents=True, exist_ok=True)
            other.path.mkdir(exist_ok=True)
            for sha256 in sorted(hashes):
                source, target = self._file(sha256), other._file(sha256)
                if (size := _size(source)) is None:
                    continue
                if _size(target) != size:  # else it is there, and what a stop left half written is smaller
                    target.unlink(missing_ok=True)
                    try:
                        os.link(source, target)
                    except OSError:
                        shutil.copyfile(source, target)
                        sync(target)
                total += size
            for folder in (*sorted(folders), other.path):
                sync(folder)
        return total

    def check(self, expected: Collection[str]) -> list[Finding]:
        """Reads every picture and holds what is there against what should be."""
        there, damaged, surplus = set(), [], []
        for path in self._files():
            if not (_is_hash(path) and path.name in expected):
                surplus.append(path.name)
            else:
                there.add(path.name)
                if sha256_of(path) != path.name:
                    damaged.append(path.name)
        unused = "nothing: `vantage gallery compact` removes them"
        return [
            Finding(place="crops", problem=f"{len(names)} {what}: {_some(names)}", remedy=remedy, serious=serious)
            for names, what, remedy, serious in (
                (sorted(set(expected) - there), "crops are not there", LOST, True),
                (damaged, "crops are not what they were", LOST, True),
                (surplus, "files belong to no item", unused, False),
            )
            if names
        ]

    def _file(self, sha256: str) -> Path:
        return self.path / sha256[:2] / sha256

    def _files(self) -> Iterator[Path]:
        if self.path.is_dir():
            for folder in self.path.iterdir():
                if folder.is_dir():
                    yield from folder.iterdir()


def _write(target: Path, content: bytes) -> None:
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        reached("crop written")
        temporary.replace(target)
        reached("crop renamed")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _is_hash(path: Path) -> bool:
    return re.fullmatch("[0-9a-f]{64}", path.name) is not None


def _some(names: Sequence[str]) -> str:
    return ", ".join(f"{name[:12]}.." for name in names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
