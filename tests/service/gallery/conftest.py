"""Galleries to try: every engine that there is, people to put into them, and a literal answer to compare with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from service.gallery import Filter, GalleryEngine, GallerySettings, NewItem
from service.gallery.embedded import EmbeddedEngine, Sizes

DIMENSION = 32
MILVUS = os.environ.get("VANTAGE_TEST_MILVUS_URI")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
OpenEngine = Callable[[Path], GalleryEngine]


def _embedded(path: Path) -> GalleryEngine:
    return EmbeddedEngine.open(path, upkeep=False)


def _embedded_in_motion(path: Path) -> GalleryEngine:
    """As it is served: with upkeep, and with such small sizes that indexes come and go while the tests run."""
    return EmbeddedEngine.open(path, sizes=Sizes(flat_up_to=60, half_up_to=150, approximate_from=100, at_once_up_to=20))


def _on_milvus(path: Path) -> GalleryEngine:
    """On the server that `make test-milvus` starts; what is shared besides is in a directory of the test's."""
    from service.gallery.milvus import MilvusEngine  # an extra, which most environments have not

    path.mkdir(exist_ok=True)
    return MilvusEngine.open(
        MILVUS or "",
        database_url=f"sqlite:///{path / 'vantage.sqlite'}",
        crops_directory=path / "crops",
        snapshots_directory=path / "snapshots",
        deadline=60.0,  # the machine may be busy with other tests
    )


ENGINES: dict[str, OpenEngine] = {
    "embedded": _embedded,
    "embedded in motion": _embedded_in_motion,
    "milvus": _on_milvus,
}
WHERE_THERE_IS_ONE = pytest.mark.skipif(MILVUS is None, reason="needs a Milvus server: make test-milvus starts one")


@pytest.fixture(
    params=[
        pytest.param(opener, id=name, marks=[WHERE_THERE_IS_ONE] if name == "milvus" else [])
        for name, opener in ENGINES.items()
    ]
)
def open_engine(request: pytest.FixtureRequest) -> Iterator[OpenEngine]:
    opener: OpenEngine = request.param
    opened: list[Path] = []

    def open_at(path: Path) -> GalleryEngine:
        opened.append(path)
        return opener(path)

    yield open_at
    if opener is _on_milvus:  # else the server would keep what every test has made
        for path in dict.fromkeys(opened):
            left = opener(path)
            for name in left.galleries():
                left.drop(name)
            left.close()


@pytest.fixture
def engine(open_engine: OpenEngine, tmp_path: Path) -> Iterator[GalleryEngine]:
    made = open_engine(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
def settings() -> GallerySettings:
    return GallerySettings(model_name="a model", model_sha256="ab" * 32, dimension=DIMENSION)


@dataclass(frozen=True)
class Crowd:
    """People seen by cameras: `items` to add, in order, and `vector(person)` for a crop of one of them."""

    items: tuple[NewItem, ...]
    centres: np.ndarray

    def vector(self, person: int, seed: int = 1) -> np.ndarray:
        return _near(self.centres[person], np.random.default_rng((person, seed)))


@pytest.fixture(scope="session")
def crowd() -> Crowd:
    """30 people, 8 crops each, by 4 cameras."""
    return make_crowd(people=30, each=8, seed=0)


@pytest.fixture(scope="session")
def crowd_of() -> Callable[..., Crowd]:
    return make_crowd


def make_crowd(people: int, each: int, seed: int) -> Crowd:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((people, DIMENSION))
    items = []
    for number in rng.permutation(people * each).tolist():
        person, turn = divmod(number, each)
        viewpoint = rng.dirichlet(np.ones(3))
        items.append(
            NewItem(
                id=f"crop-{number:04}",
                vector=_near(centres[person], rng),
                camera=None if turn == 7 else f"c{turn % 4}",
                captured_at=None if turn == 6 else NOON + timedelta(seconds=int(rng.integers(3600))),
                person=None if turn == 5 else f"p{person}",
                tracklet=f"t{person}-{turn // 2}",
                viewpoint=None if turn == 4 else tuple(float(value) for value in viewpoint),
                quality=float(rng.random()),
                metadata={"floor": turn % 3, "place": "door" if turn % 2 else "stairs"},
            )
        )
    return Crowd(tuple(items), centres)


def _near(centre: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    vector = centre + 0.7 * rng.standard_normal(DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture(scope="session")
def meets() -> Callable[[NewItem, Filter], bool]:
    return literally_meets


def literally_meets(item: NewItem, filter: Filter) -> bool:
    """Whether an item meets a filter, word by word."""
    viewpoint = None if item.viewpoint is None else ("front", "side", "back")[int(np.argmax(item.viewpoint))]
    return all(
        (
            filter.cameras is None or item.camera in filter.cameras,
            item.camera not in filter.not_cameras,
            filter.persons is None or item.person in filter.persons,
            filter.tracklets is None or item.tracklet in filter.tracklets,
            filter.viewpoints is None or viewpoint in filter.viewpoints,
            filter.time_from is None or (item.captured_at is not None and item.captured_at >= filter.time_from),
            filter.time_to is None or (item.captured_at is not None and item.captured_at < filter.time_to),
            *(_equal_in_json(item.metadata, name, value) for name, value in filter.metadata.items()),
        )
    )


def _equal_in_json(metadata: object, name: str, value: object) -> bool:
    assert isinstance(metadata, dict)
    if name not in metadata:
        return False
    mine = metadata[name]
    return isinstance(mine, bool) == isinstance(value, bool) and mine == value


@pytest.fixture(scope="session")
def nearest_first() -> Callable[[Sequence[NewItem], np.ndarray], list[str]]:
    return brute_force


def brute_force(items: Sequence[NewItem], probe: np.ndarray) -> list[str]:
    """Ids by distance to the probe, then by id; from the vectors as a gallery keeps them."""
    rows = np.stack([kept(item.vector) for item in items])
    distances = 2 - 2 * rows @ probe.astype(np.float64)
    return [items[at].id for at in sorted(range(len(items)), key=lambda at: (round(distances[at], 6), items[at].id))]


def kept(vector: np.ndarray) -> np.ndarray:
    rounded = vector.astype(np.float16).astype(np.float64)
    return rounded / np.linalg.norm(rounded)


@pytest.fixture(scope="session")
def changed() -> Callable[..., NewItem]:
    return replace
