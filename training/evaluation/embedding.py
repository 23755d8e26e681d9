"""A split of pictures as the served model sees it: through the one preprocessing and the ONNX file."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import Crops, Session
from training.data import Split, read_crops
from training.evaluation.errors import EvaluationError

Progress = Callable[[int], None]
"""Called with how many more pictures are done."""

_BATCH = 64  # crops handed to the session at a time; it cuts them into the batches that it runs


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedSplit:
    """Pictures and their embeddings, row for row.

    split: the N pictures that could be read. vectors: float32 (N, D) of length 1.
    viewpoints: float32 (N, 3), the model's shares of front, side and back; None where it does not tell.
    unreadable: a sentence for each picture that was left out.
    """

    split: Split
    vectors: NDArray[np.float32]
    viewpoints: NDArray[np.float32] | None = None
    unreadable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for array in (self.vectors, self.viewpoints):
            if array is not None:
                array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.split)


def embed_split(
    session: Session, split: Split, *, what: str, workers: int | None = None, progress: Progress | None = None
) -> EmbeddedSplit:
    """Embed every picture of a split; `what` names the split in errors."""
    dimension = session.card.embedding.dimension
    vectors = np.empty((len(split), dimension), np.float32)
    viewpoints = None if session.card.outputs.viewpoint is None else np.empty((len(split), 3), np.float32)
    readable: list[int] = []
    unreadable: list[str] = []
    waiting: list[NDArray[np.uint8]] = []

    def run() -> None:
        answer = session.embed(Crops.stack(waiting))
        rows = slice(len(readable) - len(waiting), len(readable))
        vectors[rows] = answer.vectors
        if viewpoints is not None and answer.viewpoints is not None:
            viewpoints[rows] = answer.viewpoints
        waiting.clear()

    for place, crop in enumerate(read_crops(split, session.card.input, workers)):
        if isinstance(crop, str):
            unreadable.append(crop)
        else:
            readable.append(place)
            waiting.append(crop)
        if len(waiting) == _BATCH:
            run()
        if progress is not None:
            progress(1)
    if waiting:
        run()
    if split and not readable:
        raise EvaluationError(f"none of the {len(split)} {what} pictures can be read; the first: {unreadable[0]}")
    rows = slice(0, len(readable))
    return EmbeddedSplit(
        split.take(readable), vectors[rows], None if viewpoints is None else viewpoints[rows], tuple(unreadable)
    )
