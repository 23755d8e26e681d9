"""One line of the audit log: what it tells, how it is written, and how it is chained to the line before.

A line is a JSON object in ASCII. It begins with `sequence` (1, 2, 3, ...) and `previous`, the `sha256` of the line
before. Its last member is its own `sha256`: of this very line without that member, so that `sha256sum` can check it.
The first line of all has 64 zeros as `previous`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from service.access.errors import AuditError
from service.access.key import Key

ZEROS = "0" * 64
TORN, SHORTENED, RETENTION = "torn", "shortened", "retention"
"""What the log itself has to tell, as actions.

torn        a piece of a line was found at the end, left by a process that was stopped; it stays where it is, and this
            record, right behind it, bears its length and sha256.
shortened   at its start the log was not as long as it had been, or other lines stood at its end.
retention   whole files were removed because they were older than is kept: all up to `through`, whose hash is told.
"""
_OWN = {TORN, SHORTENED, RETENTION}
_TAIL = re.compile(rb',"sha256":"([0-9a-f]{64})"}\Z')
_SECRET = re.compile(r"(vk_[0-9a-f]{8}_)[0-9a-f]{64}")
_NUMBERS = 16


class Head(NamedTuple):
    """Which line is the last: an operator who keeps this elsewhere can prove that nothing before it was changed."""

    sequence: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.sha256}"

    @classmethod
    def parse(cls, text: str) -> Head:
        match = re.fullmatch(r"(\d{1,20}):([0-9a-f]{64})", text.strip(), re.ASCII)
        if match is None:
            raise AuditError(f"a head is {text[:100]!r}: give what `vantage audit verify` printed, a number:64 digits")
        return cls(int(match[1]), match[2])


START = Head(0, ZEROS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that somebody did, as the service tells it.

    action      search, add, delete, ...
    key         with which key; None where there are no keys.
    client      the address it came from.
    purpose     what for, if the request said so; else the key's purpose is recorded.
    parameters  filter, top_k, dry_run and what else decided the outcome, as JSON. Never a picture or a vector: bytes
                and long lists of numbers are refused. Whole keys are blotted out wherever they stand.
    ids         of the items that were returned or changed.
    outcome     "ok", or how the problem is called.
    """

    action: str
    outcome: str = "ok"
    request_id: str | None = None
    key: Key | None = None
    client: str | None = None
    purpose: str | None = None
    gallery: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    ids: Sequence[str] = ()

    def members(self, at: datetime) -> dict[str, Any]:
        """What is written of it."""
        if self.action in _OWN:
            raise AuditError(
                f"an event is called {self.action!r}, which only the log itself may tell: call it otherwise"
            )
        _refuse_vectors(self.parameters)
        return {
            "at": time_text(at),
            "action": self.action,
            "outcome": self.outcome,
            "request_id": self.request_id,
            "key_id": None if self.key is None else self.key.id,
            "key_name": None if self.key is None else self.key.name,
            "client": self.client,
            "purpose": self.purpose or (None if self.key is None else self.key.purpose),
            "gallery": self.gallery,
            "parameters": dict(self.parameters),
            "ids": list(self.ids),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line as it was read."""

    sequence: int
    at: datetime
    action: str
    outcome: str
    request_id: str | None
    key_id: str | None
    key_name: str | None
    client: str | None
    purpose: str | None
    gallery: str | None
    parameters: Mapping[str, Any]
    ids: tuple[str, ...]


def own_members(action: str, at: datetime, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What the log itself has to tell."""
    return {"at": time_text(at), "action": action, "outcome": "ok", "parameters": dict(parameters)}


def line_of(members: Mapping[str, Any], after: Head) -> tuple[bytes, Head]:
    """The line that follows `after`, with its line feed, and the head that it makes."""
    try:
        text = json.dumps(
            {"sequence": after.sequence + 1, "previous": after.sha256, **members},
            allow_nan=False,
            separators=(",", ":"),
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise AuditError(
            f"an event cannot be written as JSON ({error}): give texts, numbers, lists and objects, and no picture"
        ) from error
    body = _SECRET.sub(r"\1...", text).encode()
    sha256 = hashlib.sha256(body).hexdigest()
    return body[:-1] + f',"sha256":"{sha256}"}}\n'.encode(), Head(after.sequence + 1, sha256)


def parse_line(line: bytes) -> tuple[Head, dict[str, Any]] | None:
    """Of a line without its line feed: the head it makes and its members; None if it is not as it was written."""
    tail = _TAIL.search(line)
    if tail is None or hashlib.sha256(line[: tail.start()] + b"}").hexdigest() != tail[1].decode():
        return None
    try:
        members = json.loads(line)
        return Head(int(members["sequence"]), tail[1].decode()), members
    except (ValueError, TypeError, KeyError, RecursionError):  # sound by its hash, but never written by us
        return None


def unsound_hash(line: bytes) -> str | None:
    """The hash that a line bears at its end, rightly or wrongly."""
    tail = _TAIL.search(line)
    return None if tail is None else tail[1].decode()


def read_entry(line: bytes) -> Entry | None:
    """Of a line without its line feed; None if it is not as it was written, or was not written by us."""
    parsed = parse_line(line)
    if parsed is None:
        return None
    try:
        return _entry_of(*parsed)
    except (KeyError, TypeError, ValueError):  # whatever its hash says
        return None


def chosen(
    entries: Iterable[Entry],
    *,
    since: datetime | None,
    until: datetime | None,
    key: str | None,
    gallery: str | None,
    action: str | None,
) -> Iterator[Entry]:
    """Those from `since` on and before `until`, with the key of that id, there, and of that action."""
    for entry in entries:
        if (
            (since is None or entry.at >= since)
            and (until is None or entry.at < until)
            and (key is None or entry.key_id == key)
            and (gallery is None or entry.gallery == gallery)
            and (action is None or entry.action == action)
        ):
            yield entry


def _entry_of(head: Head, members: Mapping[str, Any]) -> Entry:
    return Entry(
        sequence=head.sequence,
        at=datetime.fromisoformat(members["at"]),
        action=members["action"],
        outcome=members["outcome"],
        request_id=members.get("request_id"),
        key_id=members.get("key_id"),
        key_name=members.get("key_name"),
        client=members.get("client"),
        purpose=members.get("purpose"),
        gallery=members.get("gallery"),
        parameters=members["parameters"],
        ids=tuple(members.get("ids", ())),
    )


def time_text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refuse_vectors(value: Any) -> None:
    if isinstance(value, Mapping):
        for held in value.values():
            _refuse_vectors(held)
    elif isinstance(value, list | tuple):
        if len(value) > _NUMBERS and all(isinstance(held, int | float) for held in value):
            raise AuditError(f"parameters hold a list of {len(value)} numbers: vectors do not belong in the audit log")
        for held in value:
            _refuse_vectors(held)
