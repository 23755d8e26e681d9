"""Along the chain of an audit log, wherever its lines are kept: where it does not hold, and how."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from service.access.audit_record import RETENTION, SHORTENED, START, TORN, ZEROS, Head, parse_line, unsound_hash
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


class Walk:
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
        self._said, self._ended = 1, True

    def find(self, place: str, problem: str) -> None:
        if len(self._findings) < MOST_FINDINGS:
            self._findings.append(AuditFinding(place, problem))
        else:
            self._omitted += 1

    def begin(self, sequence: int) -> None:
        """From here on a new piece of the log, which is said to begin with that line; torn lines end with a piece."""
        self._settle({})
        self._said, self._ended = sequence, True

    def line(self, place: str, line: bytes, *, ended: bool = True) -> Head | None:
        """The next line, without its line feed; the head it makes, if it is as it was written."""
        self._ended = ended
        parsed = parse_line(line)
        if parsed is None:
            self._unsound.append((place, line))
            return None
        head, members = parsed
        self._settle(members)
        self._follow(place, head, members)
        return head

    def report(self) -> AuditReport:
        if self._unsound and not self._ended:
            self.unfinished = len(self._unsound.pop()[1])
        self._settle({})
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

    def _settle(self, members: dict[str, Any]) -> None:
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
                    self._head = self._before = Head(self._said - 1, ZEROS)
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
