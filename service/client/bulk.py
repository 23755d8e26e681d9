"""Many items into a gallery: cut into lots, and what became of each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from service.client.calls import NDJSON, Call, json_as, json_bytes, path_of
from service.client.errors import BadCallError
from service.client.new_items import NewItem

ROWS, BYTES = 64, 4 * 2**20  # of a request, at most
AT_ONCE = 2  # requests under way: while one is embedded, the next is read and sent
OnConflict = Literal["replace", "refuse"]
_WORDS = {
    "refused": ("item-exists", "there is an item of that id already: leave on_conflict out to replace it"),
    "denied": ("erased-id", "an item of that id was erased from the gallery, which does not take it back"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAdded:
    """A row that is not in the gallery. row: its number, from 0. type: as a problem's, or `unreadable` where it
    cannot be read here, so that it was not sent. sentence: what to do about it."""

    row: int
    id: str
    type: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of rows so far, in their order. Every row is one of these: added, replaced, unchanged (it was there,
    the same), or among not_added."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    not_added: tuple[NotAdded, ...] = ()

    @property
    def done(self) -> int:
        return self.added + self.replaced + self.unchanged + len(self.not_added)


@dataclass(frozen=True, slots=True)
class Lot:
    """What goes in one request. rows: the number and id of each line. unreadable: rows that cannot be sent."""

    rows: tuple[tuple[int, str], ...]
    content: bytes
    unreadable: tuple[NotAdded, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    id: str | None
    outcome: str
    problem: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Rows:
    """What the service says of each line of a lot."""

    rows: tuple[_Row, ...]


class Lots:
    """Takes rows one by one; gives a lot when it is full."""

    def __init__(self) -> None:
        self._number = 0
        self._begin()

    def take(self, row: NewItem) -> Lot | None:
        number, full = self._number, None
        self._number += 1
        try:
            line = json_bytes(row.row()) + b"\n"
        except (OSError, BadCallError) as error:
            sentence = f"its picture cannot be read: {error}" if isinstance(error, OSError) else str(error)
            self._unreadable.append(NotAdded(row=number, id=row.id, type="unreadable", sentence=sentence))
        else:
            if self._size + len(line) > BYTES:
                full = self.rest()
            self._rows.append((number, row.id))
            self._lines.append(line)
            self._size += len(line)
        if full is None and len(self._rows) + len(self._unreadable) >= ROWS:
            full = self.rest()
        return full

    def rest(self) -> Lot | None:
        if not self._rows and not self._unreadable:
            return None
        lot = Lot(tuple(self._rows), b"".join(self._lines), tuple(self._unreadable))
        self._begin()
        return lot

    def of(self, rows: Iterable[NewItem]) -> Iterator[Lot]:
        for row in rows:
            if (lot := self.take(row)) is not None:
                yield lot
        if (last := self.rest()) is not None:
            yield last

    def _begin(self) -> None:
        self._rows: list[tuple[int, str]] = []
        self._lines: list[bytes] = []
        self._unreadable: list[NotAdded] = []
        self._size = 0


class Adding:
    """What is known of a bulk request's rows so far: `added`."""

    def __init__(self, gallery: str, on_conflict: OnConflict, progress: Callable[[Added], None] | None) -> None:
        self._gallery, self._on_conflict = gallery, on_conflict
        self._progress = progress
        self._counts: Counter[str] = Counter()
        self._not_added: list[NotAdded] = []

    @property
    def added(self) -> Added:
        counts = {name: self._counts[name] for name in ("added", "replaced", "unchanged")}
        return Added(**counts, not_added=tuple(self._not_added))

    def call(self, lot: Lot) -> Call[Rows]:
        return Call(
            method="POST",
            path=path_of("galleries", self._gallery, action="/items:batch"),
            read=json_as(Rows),
            repeatable=self._on_conflict == "replace",
            parameters=() if self._on_conflict == "replace" else (("on_conflict", self._on_conflict),),
            body=lot.content,
            content_type=NDJSON,
        )

    def take(self, lot: Lot, answered: Rows | None) -> None:
        """answered: None where the lot had nothing that could be sent."""
        problems = list(lot.unreadable)
        for (number, id), row in zip(lot.rows, answered.rows if answered else (), strict=True):
            if row.outcome in ("added", "replaced", "unchanged"):
                self._counts[row.outcome] += 1
                continue
            told = row.problem or {}
            type, sentence = _WORDS.get(row.outcome, (told.get("type", row.outcome), told.get("detail", row.outcome)))
            problems.append(NotAdded(row=number, id=id, type=type, sentence=sentence))
        self._not_added += sorted(problems, key=lambda problem: problem.row)
        if self._progress is not None:
            self._progress(self.added)
