"""A small gallery's truth, items to put into it, and a look at the files themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.gallery import GallerySettings, NewItem
from service.gallery.embedded import steps
from service.gallery.embedded.truth import Truth

WIDTH = 8
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def noon() -> datetime:
    return NOON


@pytest.fixture
def small_settings() -> GallerySettings:
    return GallerySettings(model_name="a model", model_sha256="ab" * 32, dimension=WIDTH, store_crops=True)


@pytest.fixture
def new_item() -> Callable[..., NewItem]:
    """An item by its id and a number that its vector is drawn from; the rest as given."""

    def make(id: str, seed: int = 0, **fields: Any) -> NewItem:
        vector = np.random.default_rng(seed).standard_normal(WIDTH)
        return NewItem(id=id, vector=(vector / np.linalg.norm(vector)).astype(np.float32), **fields)

    return make


@pytest.fixture
def truth(tmp_path: Path, small_settings: GallerySettings) -> Iterator[Truth]:
    (tmp_path / "gallery").mkdir()
    made = Truth.create(tmp_path / "gallery" / "gallery.sqlite", "demo", small_settings)
    yield made
    made.close()


@pytest.fixture
def add() -> Callable[..., tuple[str, ...]]:
    """Adds items in a transaction of their own and returns the outcomes."""

    def run(truth: Truth, *items: NewItem, now: datetime = NOON, on_conflict: Any = "replace", **more: Any):
        with truth.transaction() as transaction, transaction.part():
            results = transaction.add(items, on_conflict, now, **more)
        return tuple(result.outcome for result in results)

    return run


@pytest.fixture
def filled(truth: Truth, new_item: Callable[..., NewItem], add: Callable[..., tuple[str, ...]]) -> Path:
    """A closed database of some pages."""
    add(truth, *(new_item(f"item-{n}", n, person=f"person-{n}", metadata={"n": n}) for n in range(300)))
    truth.close()
    return truth.path


@pytest.fixture
def delete() -> Callable[..., int]:
    def run(truth: Truth, *ids: str) -> int:
        with truth.transaction() as transaction, transaction.part():
            return transaction.delete(list(truth.keys_of(ids).values()))

    return run


@pytest.fixture
def watched() -> Iterator[list[str]]:
    """The steps in the order in which they are reached."""
    seen: list[str] = []
    steps.watcher = seen.append
    yield seen
    steps.watcher = None


@pytest.fixture
def files_with() -> Callable[[Path, bytes], list[str]]:
    """Which files under a directory hold these bytes anywhere."""

    def search(folder: Path, wanted: bytes) -> list[str]:
        return sorted(
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if path.is_file() and wanted in path.read_bytes()
        )

    return search


@pytest.fixture
def later() -> Callable[[float], datetime]:
    return lambda seconds: NOON + timedelta(seconds=seconds)
