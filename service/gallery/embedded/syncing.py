"""Files and directories that are on the disk when the call returns, and what a full disk looks like."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.gallery.errors import StorageFullError

PIECE = 1 << 20
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def sync(path: Path) -> None:
    """Waits until a file's content, or a directory's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def copy_synced(source: Path, target: Path) -> str:
    """Copies a file, waits until the copy is on the disk, and returns the sha256 of what was copied."""
    digest = hashlib.sha256()
    with source.open("rb") as old, target.open("xb") as new:
        while piece := old.read(PIECE):
            digest.update(piece)
            new.write(piece)
        new.flush()
        os.fsync(new.fileno())
    return digest.hexdigest()


@contextmanager
def full_disk_told(path: Path) -> Iterator[None]:
    """Turns the errors of a full disk, or quota, into StorageFullError."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StorageFullError(
            f"{path} cannot take more ({os.strerror(error.errno or 0)}): free some space or raise the quota; nothing "
            "of what was asked for was done"
        ) from error
