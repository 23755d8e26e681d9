"""From files to crops, in processes of their own: Pillow holds the interpreter for much of its work.

They come from a server process that has no threads (never by forking this one, in which onnxruntime has some), ignore
the interrupt that a terminal sends to everybody, and end when the process that started them does. Nothing of the
gallery is imported here, so that they start quickly and stay small.
"""

import hashlib
import multiprocessing
import os
import signal
import stat
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models import InputSpec
from service.images import LIMITS, BadImage, BadImageError, check_length, open_crop
from service.stripping import without_metadata

CHUNK = 32
"""Pictures that are sent to a process at once."""


@dataclass(frozen=True, slots=True)
class Task:
    """content: a file, or its bytes. known: the hash with which nothing needs to be done, of the file as it is kept."""

    content: Path | bytes
    known: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """sha256: of the file without its metadata. crop: uint8 (H, W, 3); None where the hash was the known one.
    content: the file's bytes without its metadata, where wanted."""

    sha256: str
    crop: NDArray[np.uint8] | None = None
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Undecoded:
    """kind: of the picture's fault, or unreadable where the file could not be read at all."""

    kind: BadImage | None
    problem: str


def decode(spec: InputSpec, tasks: Sequence[Task], keep: bool) -> list[Decoded | Undecoded]:
    """What came of each task; keep: whether the bytes are wanted too."""
    return [_decode_one(spec, task, keep) for task in tasks]


def open_decoders(processes: int) -> Executor:
    """Where `decode` runs: in so many processes, or with 0 in a thread of this one."""
    if processes == 0:
        return ThreadPoolExecutor(1, "decoder")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(processes, context, initializer=_begin)


def _decode_one(spec: InputSpec, task: Task, keep: bool) -> Decoded | Undecoded:
    try:
        content = task.content if isinstance(task.content, bytes) else _read(task.content)
        if task.known is not None and _hash(content) == task.known:
            return Decoded(task.known)  # there was nothing to be left out of it
        crop = open_crop(content, spec)
        kept = without_metadata(content)
        digest = _hash(kept)
        return Decoded(digest) if digest == task.known else Decoded(digest, crop, kept if keep else None)
    except BadImageError as error:
        return Undecoded(error.kind, str(error))
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte in it
        return Undecoded(None, f"the file cannot be read: {getattr(error, 'strerror', None) or error}")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> bytes:
    # Not to wait for a pipe that somebody called a.jpg. Python's file objects would take most of the time here.
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is no regular file")
        check_length(status.st_size)
        content = os.read(file, status.st_size)
        while more := os.read(file, LIMITS.bytes + 1 - len(content)):
            content += more
        return content
    finally:
        os.close(file)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
