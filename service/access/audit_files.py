"""The files of an audit log: one a day, named by its first line's number and by the day, and a note of the last line.

`000000000001-2024-05-01.jsonl` begins with line 1 and holds lines of that day in UTC. `HEAD` names the last line that
is safely on the disk. `LOCK` belongs to the process that writes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from service.access.audit_record import Head, parse_line
from service.access.errors import AuditError

HEAD, LOCK = "HEAD", "LOCK"
HEAD_BYTES = 20 + 1 + 64 + 1
_NAME = re.compile(r"(\d{12})-(\d{4}-\d{2}-\d{2})\.jsonl", re.ASCII)
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True, order=True)
class DayFile:
    first: int
    day: date
    path: Path


def name_of(first: int, day: date) -> str:
    return f"{first:012}-{day.isoformat()}.jsonl"


def day_files(directory: Path) -> list[DayFile]:
    """The log's files, oldest first."""
    found = []
    for path in directory.iterdir():
        match = _NAME.fullmatch(path.name)
        if match is not None:
            found.append(DayFile(int(match[1]), date.fromisoformat(match[2]), path))
    return sorted(found)


def read_head(directory: Path) -> Head | None:
    """What HEAD says; None if it is not there or says nothing."""
    try:
        return Head.parse((directory / HEAD).read_text("ascii"))
    except (FileNotFoundError, UnicodeDecodeError, AuditError):
        return None


def head_bytes(head: Head) -> bytes:
    """Always of the same length, within one block of a disk: it is overwritten in place."""
    return f"{head.sequence:020}:{head.sha256}\n".encode()


def last_sound(path: Path) -> tuple[tuple[Head, dict[str, Any]] | None, int]:
    """The last line of a file that is as it was written, and where it ends; (None, 0) if no line is.

    A line that lacks nothing but its line feed is whole.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        for start, end in _lines_from_the_end(file.fileno(), size):
            parsed = parse_line(os.pread(file.fileno(), end - start, start))
            if parsed is not None:
                return parsed, end
    return None, 0


def _lines_from_the_end(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Where lines begin and end (before their line feed), the last one first."""
    end, position = size, size
    while position > 0:
        start = max(0, position - _PIECE)
        piece = os.pread(descriptor, position - start, start)
        at = len(piece)
        while (at := piece.rfind(b"\n", 0, at)) >= 0:
            if start + at + 1 < end:
                yield start + at + 1, end
            end = start + at
        position = start
    if end > 0:
        yield 0, end
