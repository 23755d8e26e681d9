"""Re-ranked online through Milvus, people are found as well as in the embedded engine: within 0.3 points of mAP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from service.gallery import GalleryEngine, GallerySettings, NewItem, Probe, Search
from service.gallery.embedded import EmbeddedEngine

REFERENCE = Path(__file__).parents[5] / "shared" / "data" / "rerank_reference.npz"
WITHIN = 0.003
GAINED = 0.02  # what re-ranking must be worth on these people, or nothing is shown by its equality
AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class People:
    """Probes and a gallery, vectors float32 of unit length, with who is in them and by which camera."""

    probes: npt.NDArray[np.float32]
    probe_who: npt.NDArray[np.int64]
    probe_cameras: npt.NDArray[np.int64]
    gallery: npt.NDArray[np.float32]
    who: npt.NDArray[np.int64]
    cameras: npt.NDArray[np.int64]


def made_up() -> People:
    """150 people in three views each, seen by six cameras; a camera shows a person from one side."""
    rng = np.random.default_rng(3)
    count, dimensions, cameras = 150, 64, 6
    centres = rng.standard_normal((count, 1, dimensions))
    views = centres + 1.1 * rng.standard_normal((count, 3, dimensions))

    def seen(each: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        who, camera = np.repeat(np.arange(count), each), rng.integers(cameras, size=count * each)
        rows = views[who, camera % 3] + 1.2 * rng.standard_normal((len(who), dimensions))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), who, camera

    return People(*seen(1), *seen(12))


def of_the_authors() -> People:
    if not REFERENCE.exists():
        pytest.skip("the real features of the re-ranking reference are not here; the made-up ones stand for them")
    with np.load(REFERENCE) as file:
        names = ("query", "query_id", "query_camera", "gallery", "gallery_id", "gallery_camera")
        return People(*(file[name] for name in names))


@pytest.mark.parametrize("people", [made_up, of_the_authors])
def test_online_is_within_three_tenths_of_a_point_of_the_embedded_engine(
    people: Callable[[], People], open_milvus: Callable[..., GalleryEngine], settings: GallerySettings, tmp_path: Path
) -> None:
    those = people()
    settings = settings.model_copy(update={"dimension": those.gallery.shape[1]})
    with EmbeddedEngine.open(tmp_path / "embedded", upkeep=False) as embedded:
        engines: tuple[GalleryEngine, ...] = (embedded, open_milvus())
        for engine in engines:
            engine.create("g", settings)
            for start in range(0, len(those.gallery), AT_ONCE):
                block = range(start, min(start + AT_ONCE, len(those.gallery)))
                engine.add("g", [NewItem(id=str(at), vector=those.gallery[at]) for at in block])
            engine.settle("g")  # type: ignore[attr-defined]
        plain = mean_precision(embedded, those, "off", 1000)
        for depth in (1000, 10):  # all that can be asked for, and what is asked for by default
            wanted, found = (mean_precision(engine, those, "online", depth) for engine in engines)
            assert abs(found - wanted) < WITHIN, f"{100 * found:.2f} through Milvus, {100 * wanted:.2f} embedded"
            assert depth == 10 or wanted > plain + GAINED


def mean_precision(engine: GalleryEngine, those: People, mode: str, depth: int) -> float:
    """mAP over a hundred of the probes, by the field's protocol: a person's pictures by the probe's own camera do not
    count, neither for nor against. What is not among the first `depth` is taken as not found."""
    every = max(1, len(those.probes) // 100)
    precisions = []
    for at in range(0, len(those.probes), every):
        search = Search(probe=Probe(vectors=those.probes[at][None]), k=depth, rerank=mode)  # type: ignore[arg-type]
        answer = engine.search("g", search)
        assert mode == "off" or answer.reranking.mode == mode
        order = np.asarray([int(hit.item.id) for hit in answer.hits])
        mine, seen_here = those.who == those.probe_who[at], those.cameras == those.probe_cameras[at]
        order = order[~(mine & seen_here)[order]]
        wanted = min(int((mine & ~seen_here).sum()), depth)
        if wanted:
            places = np.flatnonzero(mine[order])
            precisions.append(float((np.arange(1, len(places) + 1) / (places + 1)).sum() / wanted))
    return float(np.mean(precisions))
