"""Candidates of one probe, as they came from the server, with distances of our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.gallery.milvus.rows import vectors
from service.gallery.milvus.server import Entity

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """n candidates, best first.

    vectors    float32 (n, D). distances: float32 (n,), 2 - 2 cos. reranked: float32 (n,), or None where they were not.

    The distances are computed here, from the vectors: a server's own differ in the last bits from one kind of segment
    to another, so that equals would not be equal.
    """

    entities: tuple[Entity, ...]
    vectors: Floats
    distances: Floats
    reranked: Floats | None = None

    @classmethod
    def of(cls, entities: Sequence[Entity], probe: Floats) -> Found:
        """Of entities with their vectors, in any order; probe: float32 (D,)."""
        if not entities:
            return cls((), np.empty((0, len(probe)), np.float32), np.empty(0, np.float32))
        rows = vectors(entities)
        similarities = rows.astype(np.float64) @ probe.astype(np.float64)
        distances = np.maximum(2 - 2 * similarities, 0).astype(np.float32)
        return cls(tuple(entities), rows, distances).in_order()

    def __len__(self) -> int:
        return len(self.entities)

    @property
    def order(self) -> Floats:
        """By what they are ordered."""
        return self.distances if self.reranked is None else self.reranked

    @property
    def ids(self) -> list[str]:
        return [entity["id"] for entity in self.entities]

    @property
    def keys(self) -> npt.NDArray[np.int64]:
        return np.fromiter((int(entity["key"]) for entity in self.entities), np.int64, len(self.entities))

    def in_order(self) -> Found:
        """Equals are ordered by id."""
        ids, order = self.ids, self.order
        return self.take(sorted(range(len(ids)), key=lambda at: (order[at], ids[at])))

    def take(self, places: Sequence[int] | npt.NDArray[np.integer]) -> Found:
        at = np.asarray(places, np.intp)
        return Found(
            tuple(self.entities[place] for place in at.tolist()),
            self.vectors[at],
            self.distances[at],
            None if self.reranked is None else self.reranked[at],
        )

    def up_to(self, farthest: np.float32 | None) -> Found:
        """Those that are no farther than that."""
        return self if farthest is None else self.take(np.flatnonzero(self.distances <= farthest))

    def and_also(self, others: Found) -> Found:
        """These, and those of the others whose ids are not among them."""
        mine = set(self.ids)
        more = others.take([place for place, id in enumerate(others.ids) if id not in mine])
        return Found(
            (*self.entities, *more.entities),
            np.concatenate((self.vectors, more.vectors)),
            np.concatenate((self.distances, more.distances)),
        ).in_order()
