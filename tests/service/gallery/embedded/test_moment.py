"""An item that is replaced while somebody asks was there all the time: no answer may be without it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.gallery import Feedback, Filter, GallerySettings, NewItem, NoSuchItemError, Probe, Search
from service.gallery.embedded import EmbeddedEngine, steps
from service.gallery.embedded.gallery import EmbeddedGallery
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
