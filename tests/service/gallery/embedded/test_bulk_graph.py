"""Graphs of more items than a gallery makes one of by itself: made by blocks on request, and then kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrieval import ReciprocalGraph
from retrieval.rerank import generation
from service.gallery import GalleryError, GallerySettings, Probe, Search, UnavailableError
from service.gallery.embedded import EmbeddedEngine, Sizes

SMALL = Sizes(flat_up_to=60, half_up_to=120, approximate_from=50, at_once_up_to=10, graph_up_to=100)


class StoppedError(Exception):
    pass


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "LISTED", 60)


@pytest.fixture
def large(tmp_path: Path, settings: GallerySettings, crowd: Any) -> Path:
    """A closed data directory, with a gallery that is too large to be given a graph."""
    with opened(tmp_path / "data") as engine:
        engine.create("g", settings)
        engine.add("g", crowd.items)
        engine.settle("g")
    return tmp_path / "data"


@pytest.fixture
def built(large: Path) -> Path:
    with opened(large) as engine:
        engine.build_graph("g")
    return large


@pytest.fixture
def none_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: Any, **__: Any) -> None:
        pytest.fail("a graph was made, all items with all")

    monkeypatch.setattr(ReciprocalGraph, "build", build)


def opened(data: Path, sizes: Sizes = SMALL) -> EmbeddedEngine:
    return EmbeddedEngine.open(data, sizes=sizes, upkeep=False)


def folder(data: Path, name: str) -> Path:
    [gallery] = (data / "galleries").iterdir()
    return gallery / name


def answers(engine: EmbeddedEngine, crowd: Any) -> list[tuple[str, float]]:
    found = []
    for person in range(5):
        answer = engine.search("g", Search(probe=Probe(vectors=crowd.vector(person)), rerank="online"))
        assert (answer.reranking.mode, answer.reranking.stale) == ("online", 0)
        found += [(hit.item.id, hit.reranked) for hit in answer.hits]
    return found


def alike(mine: list[tuple[str, float]], other: list[tuple[str, float]]) -> bool:
    ids, distances = zip(*mine, strict=True)
    return ids == tuple(id for id, _ in other) and bool(distances == pytest.approx([far for _, far in other], abs=1e-6))


def stopping_after(count: int) -> Callable[[str, int, int], None]:
    def progress(stage: str, done: int, of: int) -> None:
        nonlocal count
        count -= 1
        if count == 0:
            raise StoppedError

    return progress


# ---- made on request -------------------------------------------------------------------------------------------------


def test_a_graph_that_was_built_is_the_one_that_a_smaller_gallery_makes_and_is_there_at_every_start(
    large: Path, crowd: Any, none_is_made: None
) -> None:
    stages = []
    with opened(large) as engine:
        answer = engine.search("g", Search(probe=Probe(vectors=crowd.vector(1)), rerank="online"))
        assert answer.reranking.mode == "local"
        assert "more than 100 items; with the service stopped, vantage gallery" in str(answer.reranking.reason_skipped)
        report = engine.build_graph("g", progress=lambda *step: stages.append(step))
        assert (report.gallery, report.items, report.written) == ("g", 240, 240)
        assert stages == [*(("lists", n, 4) for n in range(1, 5)), ("encoded", 240, 240)]
        first = answers(engine, crowd)
        assert not folder(large, "graph").exists()
    for _ in range(2):
        with opened(large) as engine:
            assert engine.info("g").index.graph == "ready"
            assert answers(engine, crowd) == first
            engine.settle("g")
            assert engine.info("g").index.graph == "ready"
            assert engine.verify("g").sound
    with opened(large, replace(SMALL, graph_up_to=1000)) as engine:
        assert answers(engine, crowd) == first


def test_its_answers_are_those_of_a_graph_that_is_made_all_with_all(
    built: Path, tmp_path: Path, settings: GallerySettings, crowd: Any
) -> None:
    with opened(tmp_path / "other", replace(SMALL, graph_up_to=1000)) as engine:
        engine.create("g", settings)
        engine.add("g", crowd.items)
        engine.settle("g")
        expected = answers(engine, crowd)
    with opened(built) as engine:
        assert alike(answers(engine, crowd), expected)


def test_a_graph_that_was_built_is_kept_current_while_items_come_and_go(
    built: Path, crowd: Any, none_is_made: None
) -> None:
    with opened(built) as engine:
        engine.add("g", [replace(item, id=f"new-{item.id}") for item in crowd.items[:5]])
        engine.delete("g", ids=[item.id for item in crowd.items[5:9]])
        engine.settle("g")
        before = answers(engine, crowd)
        assert engine.verify("g").sound
    with opened(built) as engine:
        assert alike(answers(engine, crowd), before)
        assert engine.build_graph("g").written == 0


def test_a_graph_that_was_asked_for_is_kept_when_the_gallery_grows_and_another_is_not(
    tmp_path: Path, settings: GallerySettings, crowd: Any
) -> None:
    with opened(tmp_path / "data") as engine:
        for name, asked in (("g", True), ("h", False)):
            engine.create(name, settings)
            engine.add(name, crowd.items[:80])
            engine.settle(name)
            assert engine.info(name).index.graph == "ready"
            if asked:
                assert engine.build_graph(name).written == 0
            engine.add(name, crowd.items[80:])
            engine.settle(name)
        assert [engine.info(name).index.graph for name in "gh"] == ["ready", "too large"]
    with opened(tmp_path / "data") as engine:
        engine.settle("g")
        assert engine.info("g").index.graph == "ready"


def test_a_manifest_of_before_says_nothing_of_it_and_is_believed(built: Path, crowd: Any) -> None:
    manifest = folder(built, "derived") / "manifest.json"
    said = json.loads(manifest.read_text())
    assert said.pop("keeps_graph") is True
    manifest.write_text(json.dumps(said))
    with opened(built) as engine:
        assert engine.info("g").index.graph == "ready"
        engine.settle("g")
        assert engine.info("g").index.graph == "too large"


def test_a_gallery_without_re_ranking_is_given_none(tmp_path: Path, settings: GallerySettings) -> None:
    with opened(tmp_path / "data") as engine:
        engine.create("g", settings.model_copy(update={"rerank": "off"}))
        with pytest.raises(GalleryError, match="gallery 'g' was made with --rerank off and keeps no graph"):
            engine.build_graph("g")


# ---- what stops it, and what is lost ---------------------------------------------------------------------------------


def test_a_build_that_was_stopped_goes_on_in_another_process_with_what_has_changed_since(
    large: Path, crowd: Any, none_is_made: None
) -> None:
    made = []

    def mapper(work: Callable[[int], None], numbers: Sequence[int]) -> Iterator[None]:
        for number in numbers:
            made.append(number)
            yield work(number)

    for _ in range(2):
        with opened(large) as engine, pytest.raises(StoppedError):
            engine.build_graph("g", mapper=mapper, progress=stopping_after(1))
    with opened(large) as engine:
        assert engine.info("g").index.graph == "too large"
        receipt = engine.delete("g", ids=[crowd.items[0].id])
        assert "the graph that vantage gallery build-graph has begun" in receipt.pending
        engine.add("g", [replace(crowd.items[0], id="new")])
        engine.build_graph("g", mapper=mapper)
        assert made == [0, 60, 120, 180]
        assert engine.verify("g").sound
        assert len(answers(engine, crowd)) == 50


def test_compacting_leaves_nothing_of_a_build_that_was_begun(large: Path) -> None:
    with opened(large) as engine:
        with pytest.raises(StoppedError):
            engine.build_graph("g", progress=stopping_after(2))
        assert folder(large, "graph").exists()
        engine.compact("g")
        assert not folder(large, "graph").exists()


def test_what_was_begun_and_is_damaged_is_removed_and_said(large: Path, crowd: Any) -> None:
    with opened(large) as engine:
        with pytest.raises(StoppedError):
            engine.build_graph("g", progress=stopping_after(2))
        next(folder(large, "graph").rglob("lists-0")).write_bytes(b"something else")
        with pytest.raises(UnavailableError, match=r"the graph that was begun is removed .*run the same command again"):
            engine.build_graph("g")
        engine.build_graph("g")
        assert len(answers(engine, crowd)) == 50


@pytest.mark.parametrize("which", ["graph-", "manifest.json"])
def test_a_graph_that_was_lost_is_not_made_by_itself_and_it_is_said_what_makes_it(
    built: Path, crowd: Any, which: str, none_is_made: None, caplog: pytest.LogCaptureFixture
) -> None:
    [file] = folder(built, "derived").glob(f"{which}*")
    file.write_bytes(b"something else")
    with caplog.at_level(logging.WARNING), opened(built) as engine:
        engine.settle("g")
        assert engine.info("g").index.graph == "too large"
        assert any("vantage gallery build-graph" in finding.remedy for finding in engine.verify("g").findings)
    assert "no graph of so many items (240) is made by itself" in caplog.text
    with opened(built) as engine:
        engine.build_graph("g")
        assert len(answers(engine, crowd)) == 50
    caplog.clear()
    with caplog.at_level(logging.WARNING), opened(built) as engine:
        engine.settle("g")
        assert engine.info("g").index.graph == "ready"
    assert caplog.text == ""
