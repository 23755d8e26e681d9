"""The data directory: which galleries there are, and that one process at a time has them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import sys
from pathlib import Path
from typing import IO, Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from models import write_durably
from service.gallery.embedded import snapshots
from service.gallery.embedded.steps import reached
from service.gallery.embedded.syncing import full_disk_told, sync
from service.gallery.errors import CorruptError, ExistsError, GalleryError, LockedError, NoSuchGalleryError

LOCK, REGISTRY, GALLERIES, SNAPSHOTS = "LOCK", "registry.json", "galleries", "snapshots"
FOLDER_PATTERN = r"[a-z0-9][a-z0-9._-]*-[0-9a-f]{6}"


class Registry(BaseModel):
    """Which directory each gallery is in. Replacing this file is how galleries come, go and change names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    galleries: dict[str, Annotated[str, StringConstraints(pattern=f"^{FOLDER_PATTERN}$")]] = {}


class DataDirectory:
    """Opened by `open`. To be used by one thread at a time, but for `galleries`."""

    def __init__(self, path: Path, lock: IO[str], registry: Registry) -> None:
        self.path, self._lock, self._registry = path, lock, registry

    @classmethod
    def open(cls, path: Path) -> DataDirectory:
        """Opens a data directory, or makes it; LockedError while another process has it.

        Directories of galleries that were being made or removed when a process was stopped are removed. A registry that
        is gone or damaged is refused, and not made anew from what the directories hold: one of them may be of a gallery
        that had been dropped, or replaced, and would be back.
        """
        try:
            with full_disk_told(path):
                for folder in (path, path / GALLERIES, path / SNAPSHOTS):
                    if not folder.is_dir():
                        folder.mkdir(parents=True)
                        sync(folder.parent)
                lock = _locked(path / LOCK)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise GalleryError(
                f"{path} cannot be a data directory ({error.strerror}): give a directory that you may write to"
            ) from error
        try:
            directory = cls(path, lock, _read(path))
            directory._remove_left_overs()
            snapshots.tidy(path / SNAPSHOTS)
        except BaseException:
            lock.close()
            raise
        return directory

    @property
    def snapshots(self) -> Path:
        return self.path / SNAPSHOTS

    def galleries(self) -> dict[str, Path]:
        """The galleries' directories by their names."""
        return {name: self.path / GALLERIES / folder for name, folder in self._registry.galleries.items()}

    def reserve(self, name: str) -> Path:
        """A new directory for a gallery; unless it is published, the next start removes it."""
        path = self.path / GALLERIES / f"{name}-{secrets.token_hex(3)}"
        with full_disk_told(path):
            path.mkdir()
            sync(path.parent)
        reached("directory reserved")
        return path

    def publish(self, name: str, path: Path, replace: bool = False) -> None:
        """Makes a reserved directory the gallery of that name, instead of the one that bears it."""
        if not replace:
            self._check_free(name)
        self._write({**self._registry.galleries, name: path.name})

    def withdraw(self, name: str) -> None:
        """Removes a gallery with all it holds."""
        self._check_there(name)
        self._write({other: folder for other, folder in self._registry.galleries.items() if other != name})

    def rename(self, name: str, to: str, replace: bool = False) -> None:
        """Gives a gallery another name; with `replace` the one that bore it is removed."""
        self._check_there(name)
        if name == to:
            return
        if not replace:
            self._check_free(to)
        others = {other: folder for other, folder in self._registry.galleries.items() if other != name}
        self._write({**others, to: self._registry.galleries[name]})

    def close(self) -> None:
        """Lets another process have it."""
        self._lock.close()

    def _write(self, galleries: dict[str, str]) -> None:
        registry = Registry(galleries=galleries)
        with full_disk_told(self.path):
            write_durably(self.path / REGISTRY, registry.model_dump_json(indent=1).encode())
        gone = set(self._registry.galleries.values()) - set(galleries.values())
        self._registry = registry
        reached("registry written")
        for folder in gone:
            shutil.rmtree(self.path / GALLERIES / folder, ignore_errors=True)  # else the next start does it
            reached("directory removed")

    def _remove_left_overs(self) -> None:
        named = set(self._registry.galleries.values())
        for path in (self.path / GALLERIES).iterdir():
            if path.name not in named and re.fullmatch(FOLDER_PATTERN, path.name) and not path.is_symlink():
                shutil.rmtree(path)

    def _check_free(self, name: str) -> None:
        if name in self._registry.galleries:
            raise ExistsError(f"there is a gallery {name!r} already: choose another name, or drop it first")

    def _check_there(self, name: str) -> None:
        if name not in self._registry.galleries:
            there = ", ".join(sorted(self._registry.galleries)) or "none yet"
            raise NoSuchGalleryError(f"there is no gallery {name!r}; there are: {there}")


def _locked(path: Path) -> IO[str]:
    """Takes the lock, which goes when the process does, and says who has it."""
    lock = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with lock:
            holder = lock.read(500).strip() or "a process that did not say which"
        raise LockedError(
            f"{path.parent} is in use by {holder}: stop that process, or, if it is a server, talk to it with --server"
        ) from None
    lock.truncate(0)
    lock.write(f"process {os.getpid()} ({' '.join(sys.argv)[:400]})\n")
    lock.flush()
    return lock


def _read(path: Path) -> Registry:
    """The registry, made where nothing is yet."""
    registry = path / REGISTRY
    try:
        return Registry.model_validate_json(registry.read_bytes())
    except FileNotFoundError:
        problem = "is not there"
    except ValidationError as error:
        problem = f"is damaged ({error.errors()[0]['msg']!s})"
    folders = sorted(folder.name for folder in (path / GALLERIES).iterdir() if folder.is_dir())
    if not folders and not registry.exists():
        with full_disk_told(path):
            write_durably(registry, Registry().model_dump_json(indent=1).encode())
        return Registry()
    ours = [folder for folder in folders if re.fullmatch(FOLDER_PATTERN, folder)]
    names = [folder[:-7] for folder in ours]
    # Two of one name bear their directories' names here: what is left out is removed at the next start.
    galleries = {name if names.count(name) == 1 else folder: folder for name, folder in zip(names, ours, strict=True)}
    example = Registry(galleries=galleries)
    raise CorruptError(
        f"{registry} {problem}, which says what galleries there are: put it back from a backup, or write it by hand, "
        f"leaving out what had been dropped: {json.dumps(example.model_dump())}"
    )
