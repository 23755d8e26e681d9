"""Reading an audit log, also while a service writes it: whether its chain holds, and what it tells."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.access.audit_files import DayFile, day_files, read_head
from service.access.audit_record import (
    RETENTION,
    SHORTENED,
    START,
    TORN,
    ZEROS,
    Entry,
    Head,
    entry_of,
    parse_line,
    unsound_hash,
)
from service.access.errors import AuditError

MOST_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """Where the chain does not hold, as file and line, and how."""

    place: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What `verify` saw.

    lines       how many are as they were written.
    first       the number of the first line that is left.
    head        the last line. Kept elsewhere, it lets a later check prove that nothing up to here was changed.
    torn        pieces of lines that were left by processes that were stopped, each with a record that tells of it.
    unfinished  bytes of a line that is being written, or that a process was stopped in.
    findings    what does not hold, 100 at most.
    """

    lines: int
    first: int
    head: Head
    torn: int
    unfinished: int
    findings: tuple[AuditFinding, ...]

    @property
    def sound(self) -> bool:
        return not self.findings


class AuditTrail:
    """The audit log in a directory."""

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
        walk = _Walk({"HEAD": noted, "the head that was given": head})
        files = self._files()
        try:
            for number, file in enumerate(files):
                walk.through(file, last=number == len(files) - 1)
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
        files = self._files()
        for number, file in enumerate(files):
            # A record of a torn line may be later than its file's day, but not than the next file's.
            if since and number + 1 < len(files) and files[number + 1].day < since.astimezone(UTC).date():
                continue
            for entry in _entries_of(file):
                if (
                    (since is None or entry.at >= since)
                    and (until is None or entry.at < until)
                    and (key is None or entry.key_id == key)
                    and (gallery is None or entry.gallery == gallery)
                    and (action is None or entry.action == action)
                ):
                    yield entry

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
                parsed = parse_line(line.removesuffix(b"\n"))
                if parsed is not None:
                    with suppress(KeyError, TypeError, ValueError):  # not written by us, whatever its hash says
                        yield entry_of(*parsed)
    except FileNotFoundError:  # it had grown too old just now
        return


class _Walk:
    """Along the chain, line by line. noted: heads that must be met on the way, by what names them."""

    def __init__(self, noted: dict[str, Head | None]) -> None:
        self.lines = self.torn = self.unfinished = self._omitted = 0
        self._findings: list[AuditFinding] = []
        self._noted = {name: head for name, head in noted.items() if head is not None and head != START}
        self._before: Head | None = None  # the line before the first one that is left
        self._head: Head | None = None
        self._hash_known = True
        self._removed: set[Head] = set()
        self._unsound: list[tuple[str, bytes]] = []

    def find(self, place: str, problem: str) -> None:
        if len(self._findings) < MOST_FINDINGS:
            self._findings.append(AuditFinding(place, problem))
        else:
            self._omitted += 1

    def through(self, file: DayFile, last: bool) -> None:
        with file.path.open("rb") as lines:
            raw = b"\n"
            for number, raw in enumerate(lines, 1):
                place = f"{file.path.name} line {number}"
                line = raw.removesuffix(b"\n")
                parsed = parse_line(line)
                if parsed is None:
                    self._unsound.append((place, line))
                    continue
                head, members = parsed
                self._settle(file, members)
                if number == 1 and head.sequence != file.first:
                    self.find(
                        place, f"it is line {head.sequence}, and the file's name says {file.first}: it was renamed"
                    )
                self._follow(place, head, members)
        if last and not raw.endswith(b"\n") and self._unsound:
            self.unfinished = len(self._unsound.pop()[1])
        self._settle(file, {})

    def report(self) -> AuditReport:
        head, before = self._head or START, self._before or START
        if before.sequence and not any(
            removed.sequence == before.sequence and before.sha256 in (removed.sha256, ZEROS)
            for removed in self._removed
        ):
            self.find(
                "the beginning", f"lines up to {before.sequence} are missing, and no record tells of their removal"
            )
        for name, noted in self._noted.items():
            if noted.sequence > head.sequence:
                self.find("the end", f"{name} names line {noted.sequence}, and the log ends with line {head.sequence}")
            elif noted.sequence < before.sequence:
                self.find("the beginning", f"{name} names line {noted.sequence}, which is not kept any more")
            elif noted.sequence == before.sequence and before.sha256 not in (noted.sha256, ZEROS):
                self.find("the beginning", f"it does not follow the line {noted.sequence} that {name} names")
        if self._omitted:
            self._findings.append(AuditFinding("everywhere", f"and {self._omitted:,} more problems"))
        return AuditReport(
            lines=self.lines,
            first=before.sequence + 1,
            head=head,
            torn=self.torn,
            unfinished=self.unfinished,
            findings=tuple(self._findings),
        )

    def _settle(self, file: DayFile, members: dict[str, Any]) -> None:
        """What is to be thought of the unsound lines before the record `members`: torn, if that says so."""
        told = members.get("parameters") if members.get("action") == TORN else None
        piece = b"\n".join(line for _, line in self._unsound)
        if told is not None and not self._unsound:
            self.find("the middle", f"line {members['sequence']} tells of a torn piece, which is not there any more")
        elif told == {"bytes": len(piece), "sha256": hashlib.sha256(piece).hexdigest()}:
            self.torn += 1
        else:
            for place, line in self._unsound:
                self.find(place, "it is not as it was written: changed, damaged or put in")
                sha256 = unsound_hash(line)
                self._hash_known = sha256 is not None
                if self._head is None:
                    self._head = self._before = Head(file.first - 1, ZEROS)
                self._head = Head(self._head.sequence + 1, sha256 or ZEROS)
        self._unsound.clear()

    def _follow(self, place: str, head: Head, members: dict[str, Any]) -> None:
        previous, before = members.get("previous"), self._head
        if before is None:
            self._before = Head(head.sequence - 1, str(previous))
            if head.sequence == 1 and previous != ZEROS:
                self.find(place, "it is the first line and names another before it")
        elif head.sequence > before.sequence + 1:
            self.find(place, f"lines {before.sequence + 1} to {head.sequence - 1} are missing before it")
        elif head.sequence <= before.sequence:
            self.find(
                place, f"line {head.sequence} stands where {before.sequence + 1} was due: it was moved or repeated"
            )
        elif self._hash_known and previous != before.sha256:
            self.find(place, f"it does not follow the line {before.sequence} before it: that one was replaced")
        for name, noted in self._noted.items():
            if noted.sequence == head.sequence and noted != head:
                self.find(
                    place, f"{name} names another line {head.sequence}: it was written anew, or all from before it"
                )
        self._head, self._hash_known, self.lines = head, True, self.lines + 1
        try:
            if members["action"] == SHORTENED:
                expected = members["parameters"]["expected"] or "that HEAD should have named, which was missing"
                self.find(place, f"when a service started here, the log did not end with the line {expected}")
            elif members["action"] == RETENTION:
                self._removed.add(Head.parse(members["parameters"]["through"]))
        except (KeyError, TypeError, AttributeError, AuditError):
            self.find(place, "it is no line that the service writes, though its hash is right")
