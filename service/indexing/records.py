"""A picture that is to be indexed: where it lies, and what is known of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from service.decoding import Undecoded
from service.gallery import NewItem
from service.images import BadImage

FailureKind = BadImage | Literal["unreadable", "bad-facts", "no-match", "duplicate-id"]

_UNKNOWN = np.ones(1, np.float32)


@dataclass(frozen=True, slots=True)
class Record:
    """place: how sentences call it. content: the file, or its bytes where it is none of its own.
    facts: the item to be, but for its vector, hash and picture (`facts_of` makes it)."""

    place: str
    content: Path | bytes
    facts: NewItem


@dataclass(frozen=True, slots=True)
class Failure:
    """A picture that could not be indexed. id: where it has one."""

    place: str
    id: str | None
    kind: FailureKind
    problem: str


class Source(Protocol):
    """Pictures, in an order that is the same every time.

    total, done: how much there is and how much has been handed out, in a unit of the source's own.
    """

    total: int
    done: int

    def __iter__(self) -> Iterator[Record | Failure]: ...


def facts_of(**known: Any) -> NewItem:
    """An item whose vector is not known yet; checked here, so that a wrong fact shows before any work is done."""
    return NewItem(vector=_UNKNOWN, **known)


def undecoded(record: Record, outcome: Undecoded) -> Failure:
    return Failure(record.place, record.facts.id, outcome.kind or "unreadable", outcome.problem)
