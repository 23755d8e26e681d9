"""Try a model out: does it run here, how fast, and is an answer the same alone and in a batch?"""

import time
from dataclasses import dataclass

import numpy as np

from models.crops import Crops
from models.errors import EmbeddingError
from models.session import Session

# Kernels of another batch size add up in another order. Half precision keeps 11 bits of each term.
_TOLERANCES = {"float32": 1e-5, "float16": 1e-2}


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was seen.

    batch: crops at once. single_difference: largest absolute difference between an embedding computed in the batch and
    alone. crops_per_second, single_crops_per_second: in batches, and one crop at a time.
    """

    batch: int
    single_difference: float
    tolerance: float
    crops_per_second: float
    single_crops_per_second: float


def check_session(session: Session, batch: int = 32) -> CheckReport:
    """Embed generated crops in a batch and one by one; EmbeddingError if the answers differ by more than rounding."""
    if batch < 1:
        raise EmbeddingError(f"batch is {batch}: a batch holds 1 crop or more")
    spec = session.card.input
    noise = np.random.default_rng(0).integers(0, 256, (batch, spec.height, spec.width, 3), dtype=np.uint8)
    crops = Crops(noise)
    session.embed(crops)  # on the CPU, the first run of a batch size allocates its memory
    started = time.perf_counter()
    together = session.embed(crops).vectors
    in_batch = time.perf_counter() - started
    started = time.perf_counter()
    alone = np.concatenate([session.embed(crops[row : row + 1]).vectors for row in range(batch)])
    one_by_one = time.perf_counter() - started

    difference = float(np.abs(together - alone).max())
    tolerance = _TOLERANCES[session.precision]
    if difference > tolerance:
        raise EmbeddingError(
            f"{session.card.name} gives other embeddings in a batch of {batch} than one by one: they differ by "
            f"{difference:.2g}, more than {tolerance:g}; export it in evaluation mode (batch normalisation must not "
            "look at the batch)"
        )
    return CheckReport(batch, difference, tolerance, batch / in_batch, batch / one_by_one)
