"""Vectors to rank, for all tests of `retrieval`."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

Vectors = npt.NDArray[np.float32]


@pytest.fixture(scope="session")
def people() -> Callable[..., Vectors]:
    """`people(count, of=…, dimensions=…, seed=…)`: unit vectors in clusters, as crops of `of` people would be."""

    def make(count: int, of: int = 10, dimensions: int = 16, seed: int = 0, spread: float = 0.6) -> Vectors:
        rng = np.random.default_rng(seed)
        centres = rng.standard_normal((of, dimensions))
        rows = centres[rng.integers(of, size=count)] + spread * rng.standard_normal((count, dimensions))
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    return make
