"""Models that answer at once or only when they are told to, and observers that write down what they are told."""

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from models import ZOO, Bundle, Crops, Embeddings, Session
from service.embedding import Lane, RunTimes, ServedModel

PATIENCE = 60.0
"""Seconds after which a test gives up; none should ever pass."""


class HeldSession:
    """Each run waits to be let go. Vectors are made of a crop's first pixel alone, as `vector_of` says."""

    def __init__(self, held: bool = True) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self._go = threading.Semaphore(0)
        self.held = held
        self.poison: int | None = None
        self.begins: Callable[[], None] = lambda: None
        self.during: Callable[[int], None] = lambda crops: None

    def embed(self, crops: Crops) -> Embeddings:
        marks = [int(mark) for mark in crops.pixels[:, 0, 0, 0]]
        self.begins()
        self.batches.append(marks)
        self.entered.release()
        if self.held:
            assert self._go.acquire(timeout=PATIENCE)
        self.during(len(crops))
        if self.poison in marks:
            raise RuntimeError(f"crop {self.poison} breaks the run")
        return Embeddings(np.stack([vector_of(mark) for mark in marks]), None)

    def let_go(self, runs: int = 1) -> None:
        for _ in range(runs):
            self._go.release()

    async def running(self) -> None:
        """Returns when the next run has begun."""
        assert await asyncio.to_thread(self.entered.acquire, timeout=PATIENCE)


class Notes:
    def __init__(self) -> None:
        self.depths: list[int] = []
        self.rejections: list[str] = []
        self.runs: list[tuple[int, str]] = []
        self.waits: list[float] = []
        self.failures: list[Exception] = []

    def depth(self, crops: int) -> None:
        self.depths.append(crops)

    def rejected(self, reason: str) -> None:
        self.rejections.append(reason)

    def ran(self, crops: int, release: str, seconds: float) -> None:
        self.runs.append((crops, release))

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)

    def failed(self, error: Exception) -> None:
        self.failures.append(error)


def vector_of(mark: int) -> np.ndarray:
    return np.array([np.cos(mark), np.sin(mark)], np.float32)


def crops_of(*marks: int) -> Crops:
    """Crops whose first pixels are these."""
    pixels = np.zeros((len(marks), 128, 64, 3), np.uint8)
    pixels[:, 0, 0, 0] = marks
    return Crops(pixels)


@pytest.fixture(scope="session")
def tiny() -> Bundle:
    return Bundle.open(ZOO / "synthetic-tiny")


@pytest.fixture
def make_model(tiny: Bundle) -> Callable[..., ServedModel]:
    def make(session: HeldSession, lanes: int = 1, sizes: tuple[int, ...] = (8,), alone: Any = None) -> ServedModel:
        beside = Lane(session, RunTimes(sizes, padded=True), lanes)
        lone = beside if alone is None else Lane(alone, RunTimes(sizes, padded=True), 1)
        return ServedModel(tiny, cast(Session, session), lone, beside, None)

    return make


@pytest.fixture
def kit(make_model: Callable[..., ServedModel]) -> SimpleNamespace:
    return SimpleNamespace(
        Session=HeldSession, Notes=Notes, crops=crops_of, vector=vector_of, model=make_model, patience=PATIENCE
    )
