"""One request's crops on their way through the queue."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models import Crops, Embeddings
from service.embedding.model import ServedModel


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """What became of one request's crops, in their order.

    vectors: float32 (N, D), unit length. viewpoints: float32 (N, 3), or None where the model does not tell.
    model: the one that ran. queue_seconds: until the first crop's batch. embed_seconds: from then to the last answer.
    batch_size: crops in the largest batch that any of them was run with.
    """

    vectors: NDArray[np.float32]
    viewpoints: NDArray[np.float32] | None
    model: ServedModel
    queue_seconds: float
    embed_seconds: float
    batch_size: int


_Outcome: TypeAlias = tuple[asyncio.Future[Embedded], Embedded | Exception]


class Request:
    """Crops that wait, are run in one batch or several, and are answered once. Guarded by the queue's lock."""

    __slots__ = (
        "_answers",
        "_error",
        "_left",
        "arrived",
        "batch_size",
        "begun",
        "crops",
        "deadline",
        "future",
        "model",
        "taken",
    )

    def __init__(
        self, crops: Crops, model: ServedModel, deadline: float | None, arrived: float, future: asyncio.Future[Embedded]
    ) -> None:
        self.crops = crops
        self.model = model
        self.deadline = deadline
        self.arrived = arrived
        self.future = future
        self.begun: float | None = None
        self.taken = 0
        self._left = len(crops)
        self.batch_size = 0
        self._answers: dict[int, Embeddings] = {}
        self._error: Exception | None = None

    @property
    def waiting(self) -> int:
        """Crops that were not taken into a batch yet."""
        return len(self.crops) - self.taken

    def take(self, most: int, now: float) -> slice:
        """The rows of the next crops, at most so many."""
        if self.begun is None:
            self.begun = now
        rows = slice(self.taken, min(self.taken + most, len(self.crops)))
        self.taken = rows.stop
        return rows

    def answer(self, rows: slice, answer: Embeddings | Exception, batch_size: int) -> None:
        """What came of some of its crops; the first error is the one that is told."""
        if isinstance(answer, Exception):
            self._error = self._error or answer
            return
        self._answers[rows.start] = answer
        self._left -= len(answer)
        self.batch_size = max(self.batch_size, batch_size)

    @property
    def settled(self) -> bool:
        return self._error is not None or not self._left

    def outcome(self, now: float) -> Embedded | Exception:
        if self._error is not None:
            return self._error
        parts = [self._answers[start] for start in sorted(self._answers)]
        if len(parts) == 1:
            vectors, viewpoints = parts[0].vectors, parts[0].viewpoints
        else:
            vectors = _joined([part.vectors for part in parts])
            told = [part.viewpoints for part in parts if part.viewpoints is not None]
            viewpoints = _joined(told) if told else None
        begun = self.arrived if self.begun is None else self.begun
        return Embedded(vectors, viewpoints, self.model, begun - self.arrived, now - begun, self.batch_size)


def settle(outcomes: Sequence[_Outcome]) -> None:
    """Runs on the event loop: one call for all of a batch's requests."""
    for future, outcome in outcomes:
        if future.done():  # its client has gone
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def hand_back(outcomes: Sequence[_Outcome]) -> None:
    """Gives requests their outcomes from any thread, waking each event loop once."""
    loops: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for future, outcome in outcomes:
        loops.setdefault(future.get_loop(), []).append((future, outcome))
    for loop, theirs in loops.items():
        # A loop that was closed has nobody left who waits.
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(settle, theirs)
            except RuntimeError:
                if not loop.is_closed():
                    raise


def _joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    whole = np.concatenate(parts)
    whole.flags.writeable = False
    return whole
