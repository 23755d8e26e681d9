"""The server is killed, stands still or is not there: nothing acknowledged is lost, nobody hangs, all goes on again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from service.gallery import GallerySettings, Probe, Search, UnavailableError
from service.gallery.milvus import MilvusEngine

OpenMilvus = Callable[..., MilvusEngine]
Result = TypeVar("Result")
PATIENCE = 600  # attempts at what is to work again by itself, a fifth of a second apart


def sooner_or_later(work: Callable[[], Result]) -> Result:
    """What it gives, once the server is back."""
    for _ in range(PATIENCE):
        try:
            return work()
        except UnavailableError:
            threading.Event().wait(0.2)
    return work()


@pytest.fixture
def engine(server: Any, open_milvus: OpenMilvus, settings: GallerySettings) -> Iterator[MilvusEngine]:
    made = open_milvus(server.uri, "killed", deadline=3.0)
    sooner_or_later(lambda: made.create("g", settings))
    yield made
    server.go_on()
    sooner_or_later(lambda: made.drop("g") if "g" in made.galleries() else None)


@pytest.mark.parametrize("round", range(2))
def test_a_server_that_is_killed_under_writes_has_lost_nothing_acknowledged(
    server: Any, engine: MilvusEngine, crowd: Any, round: int
) -> None:
    there: dict[str, str | None] = {}  # by id, the camera that was acknowledged last
    unknown: set[str] = set()
    gone: set[str] = set()
    killed = threading.Event()
    enough = threading.Event()

    def writes(share: list[Any]) -> None:
        turn = 0
        while not killed.is_set():
            turn += 1
            for place in range(0, len(share), 4):
                items = [replace(item, camera=f"turn-{turn}") for item in share[place : place + 4]]
                names = {item.id for item in items}
                unknown.update(names)
                try:
                    engine.add("g", items)
                    there.update((item.id, item.camera) for item in items)
                    gone.difference_update(names)
                    unknown.difference_update(names)
                    if place % 8 == 0:
                        unknown.add(items[0].id)
                        engine.delete("g", ids=[items[0].id])
                        del there[items[0].id]
                        gone.add(items[0].id)
                        unknown.discard(items[0].id)
                except UnavailableError:
                    return
                if turn > 1:
                    enough.set()

    threads = [threading.Thread(target=writes, args=(list(crowd.items[start : start + 40]),)) for start in (0, 40)]
    for thread in threads:
        thread.start()
    enough.wait(300)
    server.kill()
    killed.set()
    for thread in threads:
        thread.join()
    assert len(there) > 20
    with pytest.raises(UnavailableError, match=r"does not do it now|cannot be reached"):
        engine.check()
    server.start()
    listed = sooner_or_later(lambda: engine.list("g", limit=1000).items)
    found = {item.id: item.camera for item in listed}
    for id, camera in there.items():
        if id not in unknown:
            assert found.get(id) == camera
    assert not (gone - unknown) & found.keys()
    answer = engine.search("g", Search(probe=Probe(vectors=crowd.vector(1)), k=1000, rerank="off"))
    assert {hit.item.id for hit in answer.hits} == set(found)
    engine.add("g", crowd.items[:80])
    assert engine.count("g") == 80
    assert engine.verify("g").sound


@pytest.mark.parametrize("how", ["stands still", "is killed"])
def test_who_asks_a_server_that_is_away_is_told_so_and_served_again_when_it_is_back(
    server: Any, engine: MilvusEngine, crowd: Any, how: str
) -> None:
    engine.add("g", crowd.items[:20])
    search = Search(probe=Probe(vectors=crowd.items[0].vector), rerank="off", k=1)
    if how == "is killed":
        server.kill()
    else:
        server.stand_still()
    for ask in (lambda: engine.search("g", search), engine.check):
        with pytest.raises(UnavailableError, match=r"Milvus server at 127\.0\.0\.1"):
            ask()
    assert engine.galleries() == ("g",)
    if how == "is killed":
        server.start()
    else:
        server.go_on()
    assert sooner_or_later(lambda: engine.search("g", search)).hits[0].item.id == crowd.items[0].id
    sooner_or_later(engine.check)


def test_a_server_that_was_never_there_is_waited_for_and_not_hung_upon(
    open_milvus: OpenMilvus, settings: GallerySettings
) -> None:
    engine = open_milvus("http://127.0.0.1:9", "nowhere", deadline=1.0)
    for _ in range(2):
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9"):
            engine.check()
        with pytest.raises(UnavailableError):
            engine.create("g", settings)
    assert engine.galleries() == ()
