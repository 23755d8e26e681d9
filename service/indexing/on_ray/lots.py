"""What goes from stage to stage: some pictures, and what has become of them so far.

A row of the dataset holds one lot, pickled, and a block one row: the way of a picture then depends on nothing but its
place in the source, and so does the batch that it is embedded in.
"""

import pickle
from dataclasses import dataclass
from typing import TypedDict

from models import ModelError
from service.decoding import Decoded
from service.gallery import AddResult, GalleryError, NewItem
from service.indexing.records import Failure, Record

Wanted = tuple[Record, str | None]
"""A picture, and the hash with which nothing needs to be done."""


@dataclass(frozen=True, slots=True)
class Lot:
    """Each stage empties one field into the next, and adds to what needs no further stage: failures, unchanged.

    error: what ends the run; Ray would add words of its own to one that is raised.
    """

    wanted: tuple[Wanted, ...] = ()
    decoded: tuple[tuple[Record, Decoded], ...] = ()
    items: tuple[NewItem, ...] = ()
    results: tuple[AddResult, ...] = ()
    failures: tuple[Failure, ...] = ()
    unchanged: int = 0
    error: ModelError | GalleryError | None = None


class Row(TypedDict):
    lot: bytes


def as_row(lot: Lot) -> Row:
    return {"lot": pickle.dumps(lot, pickle.HIGHEST_PROTOCOL)}


def lot_of(row: Row) -> Lot:
    lot = pickle.loads(row["lot"])
    assert isinstance(lot, Lot)
    return lot
