"""What is noted of neighbours in bulk, and what by and by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from retrieval.rerank import generation
from service.gallery import GalleryError, GallerySettings, Probe, Search
from service.gallery.milvus import MilvusEngine
from service.gallery.milvus.scanning import scan_all


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "LISTED", 60)
    monkeypatch.setattr(generation, "ENCODED", 80)


class StoppedError(Exception):
    pass


def near(engine: MilvusEngine, name: str) -> dict[str, str]:
    """What is kept beside each item of its neighbours."""
    entry = engine._registry.entry(name)
    return {one["id"]: one["near"] for one in scan_all(engine._server, entry, "", ("id", "key", "near"))}


def test_a_graph_that_is_built_in_bulk_and_stopped_again_and_again_is_that_of_a_refresh(
    milvus: MilvusEngine, settings: GallerySettings, crowd: Any
) -> None:
    for name in ("by-refresh", "in-bulk"):
        milvus.create(name, settings)
        milvus.add(name, crowd.items)
    milvus.refresh("by-refresh")
    made, stops = [], []

    def mapper(work: Callable[[int], None], numbers: Sequence[int]) -> Iterator[None]:
        for number in reversed(numbers):
            made.append((work.on_gpu, number))  # type: ignore[attr-defined]
            yield work(number)

    def stop(stage: str, done: int, of: int) -> None:
        if (stage, done) not in stops:
            stops.append((stage, done))
            raise StoppedError

    for _ in range(20):
        try:
            built = milvus.build_graph("in-bulk", mapper=mapper, progress=stop)
            break
        except StoppedError:
            continue
    assert stops[:7] == [*(("lists", n) for n in range(1, 5)), *(("rows", n) for n in range(1, 4))]
    assert made == [*((True, n) for n in (180, 120, 60, 0)), *((False, n) for n in (2, 1, 0))]
    assert (built.gallery, built.items) == ("in-bulk", 240)
    assert near(milvus, "in-bulk") == near(milvus, "by-refresh")
    assert "" not in near(milvus, "in-bulk").values()


def test_a_bulk_build_deletes_nothing_and_what_it_has_begun_a_refresh_goes_on_with(
    milvus: MilvusEngine, settings: GallerySettings, crowd: Any
) -> None:
    milvus.create("g", settings)
    milvus.add("g", crowd.items[:200])
    assert milvus.build_graph("g").written == 200
    milvus.add("g", [replace(crowd.items[200], expires_at=datetime(2020, 1, 1, tzinfo=UTC)), *crowd.items[201:]])
    assert milvus.build_graph("g").items == 240
    assert milvus.refresh("g").purged == 1
    reranking = milvus.search("g", Search(probe=Probe(vectors=crowd.vector(1)), rerank="online")).reranking
    assert (reranking.mode, reranking.stale) == ("online", 0)


def test_a_gpu_that_is_not_there_is_a_sentence_and_nothing_is_noted(
    milvus: MilvusEngine, settings: GallerySettings, crowd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faiss.get_num_gpus", lambda: 0, raising=False)
    milvus.create("g", settings)
    milvus.add("g", crowd.items[:70])
    with pytest.raises(GalleryError, match="the neighbours of gallery 'g' cannot be noted now: device 'gpu' was asked"):
        milvus.build_graph("g", device="gpu")
    assert set(near(milvus, "g").values()) == {""}
