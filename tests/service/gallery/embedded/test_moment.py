"""An item that is replaced while somebody asks was there all the time: no answer may be without it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval import ReciprocalGraph
from retrieval.approximate import ApproximateIndex
from service.gallery import Feedback, Filter, GallerySettings, NewItem, NoSuchItemError, Probe, Search
from service.gallery.embedded import EmbeddedEngine, Sizes, steps
from service.gallery.embedded.gallery import EmbeddedGallery
from service.gallery.embedded.holdings import Held
from service.gallery.embedded.truth import Truth

Make = Callable[..., NewItem]
FACTS: dict[str, Any] = {"person": "p", "metadata": {"floor": 3}}
OF_THE_FLOOR = Filter(metadata={"floor": 3})


@pytest.fixture
def engine(tmp_path: Path, small_settings: GallerySettings, new_item: Make) -> Iterator[EmbeddedEngine]:
    made = EmbeddedEngine.open(tmp_path / "data", upkeep=False)
    made.create("g", small_settings)
    made.add("g", [new_item(f"other {number}", number) for number in range(5)])
    made.add("g", [new_item("x", 9, **FACTS, crop=b"as it was")])
    yield made
    made.close()


def asked_while_x_is_replaced(
    engine: EmbeddedEngine, new: NewItem, ask: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """What `ask()` returns that runs while the new x is in the database and memory still has the old one."""
    asked_or_waiting, told = threading.Event(), []
    patient = EmbeddedGallery._wait_until_taken_up

    def seen_waiting(gallery: EmbeddedGallery) -> None:
        asked_or_waiting.set()
        patient(gallery)

    def run() -> None:
        try:
            told.append(ask())
        except Exception as error:
            told.append(error)
        finally:
            asked_or_waiting.set()

    asking = threading.Thread(target=run)

    def between(step: str) -> None:
        if step == "committed":
            asking.start()
            assert asked_or_waiting.wait(30)

    monkeypatch.setattr(EmbeddedGallery, "_wait_until_taken_up", seen_waiting)
    monkeypatch.setattr(steps, "watcher", between)
    engine.add("g", [new])
    asking.join(30)
    if isinstance(told[0], Exception):
        raise told[0]
    return told[0]


def found(engine: EmbeddedEngine, probe: Probe, **how: Any) -> set[str]:
    return {hit.item.id for hit in engine.search("g", Search(probe=probe, k=100, **how)).hits}


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda engine: engine.get("g", "x").id, "x"),
        (lambda engine: found(engine, Probe(item="x")), {f"other {number}" for number in range(5)}),
        (lambda engine: found(engine, Probe(vectors=np.eye(8, dtype=np.float32)[:1]), filter=OF_THE_FLOOR), {"x"}),
        (lambda engine: engine.count("g", OF_THE_FLOOR), 1),
        (lambda engine: engine.summary("g", OF_THE_FLOOR).count, 1),
        (lambda engine: [item.id for item in engine.list("g", OF_THE_FLOOR).items], ["x"]),
        (lambda engine: "x" in {item.id for item in engine.list("g").items}, True),
        (lambda engine: engine.delete("g", filter=Filter(persons=("p",)), dry_run=True).ids, ("x",)),
        (lambda engine: engine.delete("g", filter=OF_THE_FLOOR, dry_run=True).ids, ("x",)),
        (lambda engine: engine.delete("g", ids=["x"], dry_run=True).ids, ("x",)),
    ],
    ids=["get", "by item", "filtered", "count", "summary", "list filtered", "list", "dry run", "by metadata", "by id"],
)
def test_nothing_misses_an_item_that_is_replaced_meanwhile(
    engine: EmbeddedEngine,
    new_item: Make,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[EmbeddedEngine], Any],
    expected: Any,
) -> None:
    new = new_item("x", 10, **FACTS)
    assert asked_while_x_is_replaced(engine, new, lambda: ask(engine), monkeypatch) == expected


def test_what_was_said_of_an_item_holds_while_it_is_replaced(
    engine: EmbeddedEngine, new_item: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.add_feedback("g", [Feedback(item="x", verdict="different", probe_name="somebody")])
    probe = Probe(vectors=np.eye(8, dtype=np.float32)[:1], name="somebody")
    answer = asked_while_x_is_replaced(engine, new_item("x", 10, **FACTS), lambda: found(engine, probe), monkeypatch)
    assert answer == {f"other {number}" for number in range(5)}


def test_an_item_confirmed_to_be_the_person_counts_while_it_is_replaced(
    engine: EmbeddedEngine, new_item: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.add_feedback("g", [Feedback(item="x", verdict="same", probe_name="somebody")])
    search = Search(probe=Probe(vectors=np.eye(8, dtype=np.float32)[:1], name="somebody"), k=6, rerank="off")
    meanwhile, afterwards = (
        {hit.item.id: (hit.score, hit.confirmed) for hit in answer.hits}
        for answer in (
            asked_while_x_is_replaced(
                engine, new_item("x", 10, **FACTS), lambda: engine.search("g", search), monkeypatch
            ),
            engine.search("g", search),
        )
    )
    assert meanwhile == afterwards
    assert meanwhile["x"][1]


def test_a_picture_is_the_new_one_when_it_was_replaced_after_its_item_was_read(
    engine: EmbeddedEngine, new_item: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, new = Truth.item, new_item("x", 10, **FACTS, crop=b"as it is")

    def then_replaced(truth: Truth, id: str, vector: bool = False) -> Any:
        monkeypatch.setattr(Truth, "item", read)
        before = read(truth, id, vector)
        engine.add("g", [new])
        return before

    monkeypatch.setattr(Truth, "item", then_replaced)
    assert engine.crop("g", "x") == b"as it is"
    engine.add("g", [replace(new, crop=None)])
    with pytest.raises(NoSuchItemError, match="no picture"):
        engine.crop("g", "x")


def once(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, instead: Callable[..., Any]) -> None:
    """The next call of `owner.name(...)` is `instead(as it was, ...)`; those after it are as they were."""
    as_it_was = getattr(owner, name)

    def next_call(*arguments: Any, **more: Any) -> Any:
        monkeypatch.setattr(owner, name, as_it_was)
        return instead(as_it_was, *arguments, **more)

    monkeypatch.setattr(owner, name, next_call)


def test_nobody_is_cut_off_while_an_item_is_there_as_it_was_and_as_it_is(
    engine: EmbeddedEngine, new_item: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a moment an index has one item more than there are."""
    both_there, answered = threading.Event(), threading.Event()

    def when_answered(remove: Callable[..., None], *arguments: Any) -> None:
        both_there.set()
        assert answered.wait(30)
        remove(*arguments)

    def meanwhile(search_all: Callable[..., Any], *arguments: Any) -> Any:
        writing.start()
        assert both_there.wait(30)
        try:
            return search_all(*arguments)
        finally:
            answered.set()

    writing = threading.Thread(target=engine.add, args=("g", [new_item("x", 10, **FACTS)]))
    once(monkeypatch, ReciprocalGraph, "remove", when_answered)
    once(monkeypatch, Held, "search_all", meanwhile)
    near_both = np.mean([new_item("x", seed).vector for seed in (9, 10)], axis=0)  # so that another would be cut off
    probe = Probe(vectors=(near_both / np.linalg.norm(near_both)).astype(np.float32)[None])
    everybody = {"x"} | {f"other {number}" for number in range(5)}
    assert found(engine, probe, rerank="off") == everybody
    writing.join(30)


@pytest.mark.parametrize(
    ("rerank", "owner", "asks"),
    [("off", Held, "search_all"), ("local", Held, "search_all"), ("online", ReciprocalGraph, "rank")],
)
@pytest.mark.parametrize("how", [{"filter": Filter(persons=("p",))}, {"min_score": -1.0}], ids=["filtered", "by score"])
def test_an_item_is_found_that_was_replaced_between_filter_and_search(
    engine: EmbeddedEngine,
    new_item: Make,
    monkeypatch: pytest.MonkeyPatch,
    rerank: str,
    owner: type,
    asks: str,
    how: dict[str, Any],
) -> None:
    def replaced_first(ask: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        if "min_score" in how and owner is Held:  # this search tells who reaches the score; the next is too late
            answer = ask(*arguments, **more)
            engine.add("g", [new_item("x", 10, **FACTS)])
            return answer
        engine.add("g", [new_item("x", 10, **FACTS)])
        return ask(*arguments, **more)

    once(monkeypatch, owner, asks, replaced_first)
    assert "x" in found(engine, Probe(vectors=np.eye(8, dtype=np.float32)[:1]), rerank=rerank, **how)


def test_an_item_that_is_replaced_between_its_naming_and_the_graph_counts(
    tmp_path: Path, small_settings: GallerySettings, new_item: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = Sizes(flat_up_to=10, half_up_to=20, approximate_from=30)
    with EmbeddedEngine.open(tmp_path / "named", sizes=sizes, upkeep=False) as engine:
        engine.create("g", small_settings)
        engine.add("g", [new_item(f"other {number}", number) for number in range(100)])
        engine.add("g", [new_item("x", 1000)])
        engine.settle("g")

        def then_replaced(search: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
            named = search(*arguments, **more)
            engine.add("g", [new_item("x", 1000, camera="of another")])
            return named

        once(monkeypatch, ApproximateIndex, "search", then_replaced)
        search = Search(probe=Probe(vectors=np.asarray(new_item("x", 1000).vector)[None]), rerank="online")
        meanwhile, afterwards = (
            [(hit.item.id, hit.reranked) for hit in engine.search("g", search).hits] for _ in range(2)
        )
        assert meanwhile == afterwards
