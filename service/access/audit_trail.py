"""Reading an audit log in files, also while a service writes it: whether its chain holds, and what it tells."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from service.access.audit_files import DayFile, day_files, read_head
from service.access.audit_record import Entry, Head, chosen, read_entry
from service.access.audit_walk import AuditReport, Walk
from service.access.errors import AuditError


class AuditTrail:
    """The audit log in the files of a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def verify(self, head: Head | None = None) -> AuditReport:
        """Walks the whole chain. head: of an earlier check, kept elsewhere.

        Found without it: a line that was changed, removed, put in, moved or repeated; files that are missing in the
        middle, or at the beginning without a record of their removal; an end that is missing although HEAD names it.
        Found only with it: that somebody who may write the files computed all hashes anew from some line on and wrote
        HEAD to match, or took lines off the end and HEAD with them. Lines after `head` are as good as HEAD only.
        """
        noted = read_head(self.directory)  # first: the log may only grow beyond it meanwhile
        walk = Walk({"HEAD": noted, "the head that was given": head})
        try:
            for file in self._files():
                _through(walk, file)
        except FileNotFoundError:  # it had grown too old just now; there is one less
            return self.verify(head)
        if noted is None and walk.lines:
            walk.find("HEAD", "it is missing or unreadable, so lines may have been taken off the end")
        return walk.report()

    def entries(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        key: str | None = None,
        gallery: str | None = None,
        action: str | None = None,
    ) -> Iterator[Entry]:
        """What was recorded from `since` on and before `until`, with the key of that id, there, and of that action.

        Lines that are not as they were written are left out: `verify` tells of them.
        """
        return chosen(self._entries(since), since=since, until=until, key=key, gallery=gallery, action=action)

    def _entries(self, since: datetime | None) -> Iterator[Entry]:
        files = self._files()
        for number, file in enumerate(files):
            # A record of a torn line may be later than its file's day, but not than the next file's.
            if since and number + 1 < len(files) and files[number + 1].day < since.astimezone(UTC).date():
                continue
            yield from _entries_of(file)

    def _files(self) -> list[DayFile]:
        try:
            return day_files(self.directory)
        except OSError as error:
            raise AuditError(
                f"there is no audit log in {self.directory} that can be read ({error.strerror}): name the data "
                "directory of a service that keeps one"
            ) from error


def _entries_of(file: DayFile) -> Iterator[Entry]:
    try:
        with file.path.open("rb") as lines:
            for line in lines:
                entry = read_entry(line.removesuffix(b"\n"))
                if entry is not None:
                    yield entry
    except FileNotFoundError:  # it had grown too old just now
        return


def _through(walk: Walk, file: DayFile) -> None:
    walk.begin(file.first)
    with file.path.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            place = f"{file.path.name} line {number}"
            head = walk.line(place, raw.removesuffix(b"\n"), ended=raw.endswith(b"\n"))
            if number == 1 and head is not None and head.sequence != file.first:
                walk.find(place, f"it is line {head.sequence}, and the file's name says {file.first}: it was renamed")
