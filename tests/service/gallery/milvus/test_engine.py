"""What only this engine does, or does otherwise than the embedded one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.gallery import (
    BadItemError,
    Filter,
    GallerySettings,
    NoSuchGalleryError,
    NoSuchItemError,
    Probe,
    Search,
    UnavailableError,
)
from service.gallery.embedded import EmbeddedEngine
from service.gallery.milvus import MilvusEngine
from service.gallery.milvus.schema import is_exact

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
OpenMilvus = Callable[..., MilvusEngine]


def ids(engine: Any, vector: np.ndarray, name: str = "g", **how: Any) -> list[str]:
    search = Search(probe=Probe(vectors=vector), **({"rerank": "off", "k": 1000} | how))
    return [hit.item.id for hit in engine.search(name, search).hits]


# ---- several processes -----------------------------------------------------------------------------------------------


def test_what_one_process_has_written_every_other_sees_at_once(
    open_milvus: OpenMilvus, settings: GallerySettings, crowd: Any
) -> None:
    one, other = open_milvus(), open_milvus()
    one.create("g", settings)
    for item in crowd.items[:12]:
        one.add("g", [item])
        assert item.id in ids(other, item.vector)
        assert other.count("g") == len(ids(other, item.vector))
    for item in crowd.items[:12]:
        other.delete("g", ids=[item.id])
        assert item.id not in ids(one, item.vector)
        with pytest.raises(NoSuchItemError):
            one.get("g", item.id)


def test_two_processes_that_write_at_once_lose_nothing_and_share_the_order_of_adding(
    open_milvus: OpenMilvus, settings: GallerySettings, crowd: Any
) -> None:
    engines = [open_milvus(), open_milvus()]
    engines[0].create("g", settings)
    outcomes: list[str] = []

    def add(engine: MilvusEngine, start: int) -> None:
        for place in range(start, start + 30, 3):
            outcomes.extend(one.outcome for one in engine.add("g", crowd.items[place : place + 3]))
            told = engine.add("g", [replace(crowd.items[0], id="wanted by all")], on_conflict="refuse")
            outcomes.append(f"wanted: {told[0].outcome}")

    threads = [threading.Thread(target=add, args=(engines[n % 2], 30 * n)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("added") == 120
    assert outcomes.count("wanted: added") == 1
    pages = [engine.list("g", limit=1000).items for engine in engines]
    assert [item.id for item in pages[0]] == [item.id for item in pages[1]]
    assert len(pages[0]) == 121
    assert engines[0].info("g").change == engines[1].info("g").change


def test_a_renamed_or_replaced_gallery_is_another_for_every_process_at_once(
    open_milvus: OpenMilvus, settings: GallerySettings, crowd: Any
) -> None:
    one, other = open_milvus(), open_milvus()
    one.create("g", settings)
    one.create("h", settings)
    one.add("g", crowd.items[:3])
    assert other.count("h") == 0
    one.rename("g", "h", replace=True)
    assert other.count("h") == 3
    with pytest.raises(NoSuchGalleryError):
        other.count("g")
    other.drop("h")
    assert one.galleries() == ()


def test_a_collection_whose_making_was_stopped_is_dropped_later(
    open_milvus: OpenMilvus, settings: GallerySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.gallery.milvus import registry, schema

    engine = open_milvus()
    collection = engine._registry.reserve()
    schema.make(engine._server, collection, settings)
    monkeypatch.setattr(registry, "FORGOTTEN", -10.0)
    assert engine._registry.forgotten() == [collection]
    engine.create("g", settings)
    assert engine._registry.forgotten() == []
    assert not engine._server.change(lambda client: client.has_collection(collection))
    assert engine.galleries() == ("g",)


@pytest.mark.parametrize("done", [True, False], ids=["after", "before"])
def test_a_deletion_that_was_stopped_is_found_to_be_done_or_not(
    milvus: MilvusEngine, settings: GallerySettings, crowd: Any, done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies between telling the database and telling Milvus, or before it says that it is done."""
    milvus.create("g", settings.model_copy(update={"deny_erased": True}))
    milvus.add("g", crowd.items[:5])
    delete = milvus._server.delete

    def stopped(collection: str, expression: str) -> int:
        if done:
            delete(collection, expression)
        raise KeyboardInterrupt

    monkeypatch.setattr(milvus._server, "delete", stopped)
    with pytest.raises(KeyboardInterrupt):
        milvus.delete("g", ids=[crowd.items[1].id])
    monkeypatch.undo()
    outcomes = [result.outcome for result in milvus.add("g", crowd.items[:3])]
    assert outcomes == ["unchanged", "denied" if done else "unchanged", "unchanged"]
    assert milvus.info("g").pending_purge == int(done)
    assert milvus.count("g") == 5 - int(done)


# ---- pictures --------------------------------------------------------------------------------------------------------


def test_pictures_are_shared_kept_once_and_gone_with_the_last_item_that_names_them(
    open_milvus: OpenMilvus, settings: GallerySettings, crowd: Any, tmp_path: Path
) -> None:
    one, other = open_milvus(), open_milvus()
    one.create("g", settings.model_copy(update={"store_crops": True}))
    pictures = tmp_path / "shared" / "crops"

    def kept() -> int:
        return sum(path.is_file() for path in pictures.rglob("*"))

    a, b = (replace(crowd.items[n], crop=b"the same picture") for n in range(2))
    one.add("g", [a, b])
    assert kept() == 1
    assert other.crop("g", a.id) == b"the same picture"
    sha256 = other.get("g", a.id).crop_sha256
    other.add("g", [replace(crowd.items[2], crop_sha256=sha256), replace(crowd.items[3], crop_sha256="ab" * 32)])
    assert (one.get("g", crowd.items[2].id).has_crop, one.get("g", crowd.items[3].id).has_crop) == (True, False)
    assert other.delete("g", ids=[a.id]).removed["crops"] == 0
    one.add("g", [replace(b, crop=b"another")])
    one.delete("g", ids=[crowd.items[2].id])
    assert kept() == 1
    assert one.crop("g", b.id) == b"another"
    assert one.verify("g").sound
    next(path for path in pictures.rglob("*") if path.is_file()).write_bytes(b"damaged")
    (finding,) = one.verify("g").findings
    assert (finding.place, finding.serious) == ("crops", True)
    one.drop("g")
    assert kept() == 0


# ---- safekeeping -----------------------------------------------------------------------------------------------------


def test_a_snapshot_of_either_engine_is_restored_by_the_other(
    milvus: MilvusEngine, settings: GallerySettings, crowd: Any, tmp_path: Path
) -> None:
    keeping = settings.model_copy(update={"store_crops": True, "deny_erased": True})
    with EmbeddedEngine.open(tmp_path / "embedded", upkeep=False) as embedded:
        embedded.create("g", keeping)
        embedded.add("g", [replace(item, crop=item.id.encode()) for item in crowd.items[:60]])
        embedded.delete("g", ids=[crowd.items[0].id])
        milvus.restore(embedded.snapshot("g").path)
        assert milvus.info("g").pending_purge == 1
        milvus.add("g", crowd.items[60:70])
        milvus.delete("g", ids=[crowd.items[1].id])
        embedded.restore(milvus.snapshot("g").path, name="back")
        assert embedded.verify("back").sound
        for person in range(5):
            probe = crowd.vector(person)
            found = ids(milvus, probe)
            assert ids(embedded, probe, "back") == found
            assert len(found) == 68
        listed = [engine.list(name, limit=100).items for engine, name in ((milvus, "g"), (embedded, "back"))]
        assert [(one.id, one.added_at, one.metadata) for one in listed[0]] == [
            (one.id, one.added_at, one.metadata) for one in listed[1]
        ]
        assert embedded.crop("back", crowd.items[5].id) == crowd.items[5].id.encode()
        for engine, name in ((milvus, "g"), (embedded, "back")):
            outcomes = [result.outcome for result in engine.add(name, crowd.items[:2])]
            assert outcomes == ["denied", "denied"]


def test_a_snapshot_is_of_the_moment_at_which_it_ends(
    milvus: MilvusEngine, settings: GallerySettings, crowd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has been read of it is deleted, replaced and added to before it is whole."""
    from service.gallery.milvus import safekeeping

    milvus.create("g", settings)
    milvus.add("g", crowd.items[:20])
    keep, once = safekeeping._keep, threading.Event()

    def keep_and_go_on(*what: Any) -> None:
        keep(*what)
        if not once.is_set():
            once.set()
            milvus.delete("g", ids=[crowd.items[0].id, crowd.items[1].id])
            milvus.add("g", [crowd.items[1], replace(crowd.items[2], camera="replaced"), crowd.items[30]])

    monkeypatch.setattr(safekeeping, "_keep", keep_and_go_on)
    milvus.restore(milvus.snapshot("g").name, name="copy")
    listed = [milvus.list(name, limit=100).items for name in ("g", "copy")]
    assert [(one.id, one.camera, one.added_at) for one in listed[1]] == [
        (one.id, one.camera, one.added_at) for one in listed[0]
    ]
    assert len(listed[1]) == 20


def test_compaction_takes_what_was_deleted_out_of_snapshots(
    milvus: MilvusEngine, settings: GallerySettings, crowd: Any, tmp_path: Path
) -> None:
    milvus.create("g", settings.model_copy(update={"store_crops": True}))
    milvus.add("g", [replace(item, crop=item.id.encode()) for item in crowd.items[:10]])
    taken = milvus.snapshot("g")
    milvus.delete("g", ids=[item.id for item in crowd.items[:4]])
    milvus.add("g", [crowd.items[0]])
    receipt = milvus.compact("g")
    assert receipt.purged == 4
    assert f"snapshot {taken.name}" in receipt.rewritten
    kept = milvus.restore(taken.name, name="before")
    assert [item.id for item in milvus.list("before").items] == [item.id for item in crowd.items[4:10]]
    assert kept.count == 6


def test_verify_finds_an_item_that_is_not_what_was_written(
    milvus: MilvusEngine, settings: GallerySettings, crowd: Any
) -> None:
    milvus.create("g", settings)
    milvus.add("g", crowd.items[:10])
    entry = milvus._registry.entry("g")
    every = milvus._server.query(entry.collection, "key > 0", ["*"], entry.seen)
    damaged = dict(next(one for one in every if one["id"] == crowd.items[3].id)) | {"camera": "changed by somebody"}
    milvus._registry.noted(entry, milvus._server.upsert(entry.collection, [damaged]))
    (finding,) = milvus.verify("g").findings
    assert finding.serious
    assert crowd.items[3].id in finding.problem


# ---- re-ranking ------------------------------------------------------------------------------------------------------


def test_until_neighbours_are_noted_re_ranking_is_local_and_says_so(
    milvus: MilvusEngine, settings: GallerySettings, crowd: Any
) -> None:
    milvus.create("g", settings)
    milvus.add("g", crowd.items)
    search = Search(probe=Probe(vectors=crowd.vector(1)), rerank="online")
    done = milvus.search("g", search).reranking
    assert (done.mode, done.stale) == ("local", 240)
    assert "vantage gallery refresh" in str(done.reason_skipped)
    assert milvus.info("g").index.graph == "building"
    told: list[str] = []
    report = milvus.refresh("g", progress=lambda stage, done, of: told.append(stage))
    assert (report.items, report.added, report.noted) == (240, 240, 240)
    assert set(told) == {"lists", "rows", "noted"}
    done = milvus.search("g", search).reranking
    assert (done.mode, done.stale, done.reason_skipped) == ("online", 0, None)
    assert (milvus.info("g").index.graph, milvus.info("g").index.stale) == ("ready", 0)
    past = [replace(item, id=f"old-{item.id}", expires_at=LONG_AGO) for item in crowd.items[:3]]
    milvus.add("g", past)
    again = milvus.refresh("g")
    assert (again.purged, again.noted) == (3, 0)
    milvus.add("g", [replace(item, id=f"new-{item.id}") for item in crowd.items[:7]])
    answer = milvus.search("g", replace_k(search, 1000))
    assert (answer.reranking.mode, answer.reranking.stale, len(answer.hits)) == ("online", 7, 247)


def replace_k(search: Search, k: int) -> Search:
    return replace(search, k=k)


def test_a_refresh_that_was_stopped_goes_on_and_leaves_items_as_they_are(
    milvus: MilvusEngine, settings: GallerySettings, crowd: Any
) -> None:
    milvus.create("g", settings)
    milvus.add("g", crowd.items[:200])
    milvus.refresh("g")
    milvus.delete("g", ids=[item.id for item in crowd.items[:20]])
    milvus.add("g", crowd.items[200:])
    before = milvus.list("g", limit=1000).items

    def stop(stage: str, done: int, of: int) -> None:
        if stage == "rows":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        milvus.refresh("g", progress=stop)
    assert milvus.refresh("g").noted > 40
    assert milvus.info("g").index.stale == 0
    assert [(one.id, one.added_at, one.camera) for one in milvus.list("g", limit=1000).items] == [
        (one.id, one.added_at, one.camera) for one in before
    ]
    probe = Search(probe=Probe(vectors=crowd.vector(2)), rerank="online", k=30)
    was = [(hit.item.id, hit.reranked) for hit in milvus.search("g", probe).hits]
    milvus.restore(milvus.snapshot("g").name, name="anew")
    milvus.refresh("anew")
    anew = [(hit.item.id, hit.reranked) for hit in milvus.search("anew", probe).hits]
    assert [id for id, _ in was] == [id for id, _ in anew]
    assert [value for _, value in was] == pytest.approx([value for _, value in anew], abs=1e-6)


# ---- differences -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "on_demand"), [("hnsw", False), ("ivf", True), ("signs", True)])
def test_an_index_is_that_of_the_settings_and_a_filter_holds_all_the_same(
    milvus: MilvusEngine, settings: GallerySettings, crowd: Any, kind: Any, on_demand: bool
) -> None:
    """The embedded engine reads every vector on demand whatever the index; here a graph cannot be gone around."""
    chosen = settings.model_copy(update={"index": kind})
    assert (is_exact(chosen, True), is_exact(chosen, False)) == (on_demand, False)
    milvus.create("g", chosen)
    milvus.add("g", crowd.items)
    assert milvus.info("g").index.kind == ("hnsw" if kind == "hnsw" else "ivf")
    meeting = {item.id for item in crowd.items if item.camera == "c1"}
    search = Search(probe=Probe(vectors=crowd.vector(3)), k=240, rerank="off", filter=Filter(cameras=("c1",)))
    answer = milvus.search("g", search)
    assert {hit.item.id for hit in answer.hits} == meeting
    assert answer.exact  # so few are compared one and all
    assert not milvus.search("g", Search(probe=Probe(vectors=crowd.vector(3)), rerank="off")).exact


def test_an_explanation_wants_online_re_ranking(milvus: MilvusEngine, settings: GallerySettings, crowd: Any) -> None:
    """The embedded engine has its graph at hand and explains the others too."""
    milvus.create("g", settings)
    milvus.add("g", crowd.items)
    milvus.refresh("g")
    for rerank, explained in (("online", True), ("local", False), ("off", False)):
        search = Search(probe=Probe(vectors=crowd.vector(3)), rerank=rerank, explain=True)  # type: ignore[arg-type]
        hits = milvus.search("g", search).hits
        assert [hit.explanation is not None for hit in hits] == [explained] * 10


def test_what_cannot_be_kept_or_opened_is_refused_in_a_sentence(
    open_milvus: OpenMilvus, settings: GallerySettings
) -> None:
    engine = open_milvus()
    with pytest.raises(BadItemError, match="40000 dimensions cannot be kept in Milvus"):
        engine.create("g", settings.model_copy(update={"dimension": 40_000}))
    assert engine.galleries() == ()
    engine.check()
    engine.close()
    with pytest.raises(UnavailableError, match="closed"):
        engine.check()
