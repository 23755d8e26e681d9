"""What only the embedded engine can be asked: about its files, its disk, its clock, and other processes."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval import RetrievalError
from retrieval.approximate import ApproximateIndex
from service.gallery import (
    CorruptError,
    Filter,
    GallerySettings,
    LockedError,
    NewItem,
    Probe,
    Search,
)
from service.gallery.embedded import EmbeddedEngine, Sizes, building, steps
from service.gallery.embedded import gallery as one_gallery

SMALL = Sizes(flat_up_to=100, half_up_to=100, approximate_from=50, at_once_up_to=10)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def filled(data: Path, settings: GallerySettings, crowd: Any) -> Path:
    """A closed data directory with one gallery, its graph and index saved."""
    with opened(data) as engine:
        engine.create("g", settings.model_copy(update={"store_crops": True}))
        engine.add("g", [with_crop(item) for item in crowd.items])
        engine.settle("g")
    return data


def opened(data: Path, sizes: Sizes = SMALL) -> EmbeddedEngine:
    return EmbeddedEngine.open(data, sizes=sizes, upkeep=False)


def with_crop(item: NewItem) -> NewItem:
    return replace(item, crop=b"the crop of " + item.id.encode())


def answers(engine: EmbeddedEngine, crowd: Any) -> list[tuple[str, float | None]]:
    engine.settle("g")
    return [
        (hit.item.id, hit.reranked)
        for person in range(5)
        for hit in engine.search("g", Search(probe=Probe(vectors=crowd.vector(person)))).hits
    ]


def alike(mine: list[tuple[str, float | None]], other: list[tuple[str, float | None]]) -> bool:
    """The same answers, of graphs made on different ways: distances may differ in the last bit."""
    ids, distances = zip(*mine, strict=True)
    other_ids, other_distances = zip(*other, strict=True)
    return ids == other_ids and bool(distances == pytest.approx(other_distances, abs=1e-6))


def gallery_folder(data: Path) -> Path:
    [folder] = (data / "galleries").iterdir()
    return folder


# ---- derived files ---------------------------------------------------------------------------------------------------


def damage_by_cutting(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def damage_by_emptying(path: Path) -> None:
    path.write_bytes(b"")


def damage_by_flipping(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-len(content) // 3] ^= 0x10
    path.write_bytes(bytes(content))


def damage_by_removing(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("which", ["graph-", "index-", "manifest.json"])
@pytest.mark.parametrize(
    "damage", [damage_by_cutting, damage_by_emptying, damage_by_flipping, damage_by_removing], ids=lambda f: f.__name__
)
def test_a_damaged_derived_file_is_made_again_and_never_served(
    filled: Path, crowd: Any, which: str, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    with opened(filled) as engine:
        before = answers(engine, crowd)
    [file] = (gallery_folder(filled) / "derived").glob(f"{which}*")
    damage(file)
    with caplog.at_level(logging.WARNING), opened(filled) as engine:
        report = engine.verify("g")
        assert alike(answers(engine, crowd), before)
        assert not any(finding.serious for finding in report.findings)
        if (which, damage) != ("manifest.json", damage_by_removing):  # then there is nothing to believe, or to doubt
            assert any(finding.place == "derived files" for finding in report.findings)
            assert "made again" in caplog.text
        engine.compact("g")
        assert engine.verify("g").sound
    assert not list(filled.rglob("*.set-aside"))


def test_derived_files_of_another_gallery_are_not_believed(filled: Path, settings: GallerySettings, crowd: Any) -> None:
    with opened(filled) as engine:
        before = answers(engine, crowd)
        engine.create("other", settings)
        engine.add("other", [replace(item, vector=-item.vector) for item in crowd.items])
        engine.settle("other")
        folders = [engine._gallery(name).path / "derived" for name in ("g", "other")]
    shutil.rmtree(folders[0])
    shutil.copytree(folders[1], folders[0])
    with opened(filled) as engine:
        assert alike(answers(engine, crowd), before)


def test_a_graph_that_holds_other_vectors_is_found_out(filled: Path, crowd: Any, data: Path) -> None:
    """The right manifest, names, keys and checksums, and yet not the vectors of the database."""
    with opened(filled) as engine:
        before = answers(engine, crowd)
        graph = engine._gallery("g").held.graph
        assert graph is not None
        keys, vectors = graph.snapshot()
        folder = engine._gallery("g").path / "derived"
    wrong = type(graph).build(-vectors, keys, graph.settings)
    manifest = json.loads((folder / "manifest.json").read_text())
    path = folder / manifest["graph"]["name"]
    wrong.save(path)
    from retrieval.array_file import stored_digest

    manifest["graph"]["sha256"] = stored_digest(path)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with opened(filled) as engine:
        assert alike(answers(engine, crowd), before)


def test_a_restart_loads_what_was_saved_and_replays_what_was_not(filled: Path, crowd: Any) -> None:
    with opened(filled) as engine:
        gallery = engine._gallery("g")
        assert gallery.held.graph is not None
        assert gallery.held.approximate is not None
        assert engine.info("g").unsaved == 0
        engine.add("g", [replace(crowd.items[0], id="new", vector=crowd.vector(1))])
        engine.delete("g", ids=[crowd.items[1].id])
        before = answers(engine, crowd)
        # As if it had been killed: nothing is saved at the end.
        shutil.copytree(filled, filled.with_name("killed"), ignore=shutil.ignore_patterns("LOCK"))
    with opened(filled.with_name("killed")) as engine:
        info = engine.info("g")
        assert (info.index.graph, info.index.kind, info.count) == ("ready", "signs", len(crowd.items))
        assert info.unsaved == 2
        assert alike(answers(engine, crowd), before)


# ---- the database ----------------------------------------------------------------------------------------------------


def test_a_damaged_database_is_refused_with_what_to_do_and_the_others_go_on(
    filled: Path, settings: GallerySettings, crowd: Any
) -> None:
    with opened(filled) as engine:
        before = answers(engine, crowd)
        taken = engine.snapshot("g")
        engine.create("other", settings)
        database = engine._gallery("g").path / "gallery.sqlite"
    database.write_bytes(database.read_bytes()[:5000])
    with opened(filled) as engine:
        with pytest.raises(CorruptError, match="vantage gallery restore"):
            engine.search("g", Search(probe=Probe(vectors=crowd.vector(0))))
        report = engine.verify("g")
        assert [finding.serious for finding in report.findings] == [True]
        assert engine.count("other") == 0
        engine.restore(taken.name, replace=True)
        assert alike(answers(engine, crowd), before)


def test_a_database_older_than_what_was_made_of_it_is_told(filled: Path, crowd: Any) -> None:
    database = gallery_folder(filled) / "gallery.sqlite"
    before = database.read_bytes()
    with opened(filled) as engine:
        engine.add("g", [replace(crowd.items[0], id="acknowledged")])
    database.write_bytes(before)
    with opened(filled) as engine:
        assert engine.count("g") == len(crowd.items)
        [finding] = engine.verify("g").findings
        assert finding.serious
        assert "acknowledged writes are missing" in finding.problem


def test_a_faiss_that_does_not_filter_is_not_used(
    data: Path, settings: GallerySettings, crowd: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(kinds: Any) -> None:
        raise RetrievalError(f"the self-test of {kinds} failed")

    building.works_here.cache_clear()
    monkeypatch.setattr(building, "self_test", broken)
    with opened(data) as engine:
        engine.create("g", settings)
        engine.add("g", crowd.items)
        gallery = engine._gallery("g")
        gallery._builder.start()
        gallery._builder.wait()
        gallery._builder.start()
        gallery._builder.wait()
        assert engine.info("g").index.kind == "flat"
        assert "self-test" in caplog.text
        answer = engine.search("g", Search(probe=Probe(vectors=crowd.vector(0)), k=1000))
        assert (len(answer.hits), answer.exact) == (len(crowd.items), True)
    building.works_here.cache_clear()


def test_a_second_process_is_refused_and_told_who_has_the_directory(filled: Path) -> None:
    program = f"""
        from service.gallery import LockedError
        from service.gallery.embedded import EmbeddedEngine
        try:
            EmbeddedEngine.open({str(filled)!r})
        except LockedError as error:
            print(error)
    """
    with opened(filled):
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
        )
        assert "--server" in run.stdout
        with pytest.raises(LockedError):
            opened(filled)
    opened(filled).close()


# ---- the disk --------------------------------------------------------------------------------------------------------


def test_a_full_disk_takes_nothing_and_loses_nothing(filled: Path, crowd: Any) -> None:
    """In a process whose files may not grow beyond what the gallery's have: a quota as the kernel enforces it."""
    program = f"""
        import resource, signal, sys
        from pathlib import Path
        import numpy as np
        from service.gallery import NewItem, StorageFullError
        from service.gallery.embedded import EmbeddedEngine
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        engine = EmbeddedEngine.open({str(filled)!r}, upkeep=False)
        count = engine.count("g")
        engine.search  # open before the limit
        largest = max(path.stat().st_size for path in Path({str(filled)!r}).rglob("*") if path.is_file())
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 4096, resource.RLIM_INFINITY))
        rng, added, refused = np.random.default_rng(0), 0, 0
        for batch in range(400):
            rows = rng.standard_normal((20, 32))
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            facts = dict(metadata={{"x": "y" * 500}})
            items = [NewItem(id=f"more-{{batch}}-{{n}}", vector=row, **facts) for n, row in enumerate(rows)]
            try:
                engine.add("g", items)
                added += 20
            except StorageFullError as error:
                refused += 1
                sentence = str(error)
                break
        assert refused == 1, "the disk was never full"
        assert engine.count("g") == count + added
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        engine.add("g", items)
        assert engine.count("g") == count + added + 20
        engine.close()
        print(count + added + 20, sentence)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    count, sentence = run.stdout.split(" ", 1)
    assert "free" in sentence
    with opened(filled) as engine:
        assert engine.count("g") == int(count)
        assert engine.verify("g").sound


# ---- leaving nothing behind ------------------------------------------------------------------------------------------


def test_after_compaction_nothing_of_the_deleted_is_in_any_file(filled: Path, crowd: Any) -> None:
    gone = [item for item in crowd.items if item.camera == "c1"]
    with opened(filled) as engine:
        engine.snapshot("g")
        stored = {item.id: item.vector for item in engine.list("g", limit=1000, vectors=True).items}
        receipt = engine.delete("g", filter=Filter(cameras=("c1",)))
        assert receipt.removed["crops"] == len(gone)
        assert any("snapshot" in place for place in receipt.pending)
        searched = engine.search("g", Search(probe=Probe(vectors=gone[0].vector), k=500))
        assert not {hit.item.id for hit in searched.hits} & {item.id for item in gone}
        engine.compact("g")
        needles = {}
        for item in gone:
            indexed = stored[item.id]
            assert indexed is not None
            needles[item.id] = (
                item.id.encode(),
                item.vector.astype(np.float16).tobytes(),
                indexed.astype(np.float32).tobytes(),
                indexed.astype(np.float16).tobytes(),
                b"the crop of " + item.id.encode(),
            )
        left = {
            (str(path.relative_to(filled)), id)
            for path in filled.rglob("*")
            if path.is_file()
            for id, wanted in needles.items()
            if any(needle in path.read_bytes() for needle in wanted)
        }
        assert left == set()
        kept = next(item for item in crowd.items if item.camera == "c2")  # the search does find what is there
        assert any(kept.id.encode() in path.read_bytes() for path in filled.rglob("*.sqlite"))
        assert engine.verify("g").sound


# ---- time ------------------------------------------------------------------------------------------------------------


def test_a_clock_that_goes_back_does_not_bring_back_what_has_expired(
    data: Path, settings: GallerySettings, crowd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return moment

    monkeypatch.setattr(one_gallery, "datetime", Clock)
    with opened(data) as engine:
        engine.create("g", settings)
        engine.add("g", [replace(crowd.items[0], expires_at=moment + timedelta(hours=1))])
        assert engine.count("g") == 1
        moment += timedelta(hours=2)
        engine.add("g", [crowd.items[1]])
        assert engine.count("g") == 1
        moment -= timedelta(hours=2)
        engine.add("g", [crowd.items[2]])
        assert sorted(item.id for item in engine.list("g").items) == sorted(item.id for item in crowd.items[1:3])
        assert engine.get("g", crowd.items[2].id).added_at >= engine.get("g", crowd.items[1].id).added_at


# ---- building aside --------------------------------------------------------------------------------------------------


@pytest.fixture
def held_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Nothing that is built aside is finished before the event is set."""
    go = threading.Event()
    advanced = building.Builder._advanced

    def wait(self: building.Builder, done: int, of: int) -> None:
        while not go.wait(0.01):
            advanced(self, done, of)
        advanced(self, done, of)

    monkeypatch.setattr(building.Builder, "_advanced", wait)
    yield go
    go.set()


def test_searches_and_writes_go_on_while_a_graph_is_made_aside(
    data: Path, settings: GallerySettings, crowd: Any, held_up: threading.Event
) -> None:
    with opened(data) as engine:
        engine.create("g", settings)
        engine.add("g", crowd.items[:200])
        gallery = engine._gallery("g")
        gallery.alone(gallery._holdings.give_up_graph)
        gallery._builder.start()
        assert engine.info("g").index.graph == "building"
        engine.add("g", crowd.items[200:])
        engine.delete("g", ids=[crowd.items[0].id])
        answer = engine.search("g", Search(probe=Probe(vectors=crowd.vector(2)), k=300))
        assert len(answer.hits) == len(crowd.items) - 1
        assert (answer.reranking.mode, answer.reranking.applied) == ("local", True)
        assert "being made" in str(answer.reranking.reason_skipped)
        held_up.set()
        engine.settle("g")
        assert engine.info("g").index.graph == "ready"
        answer = engine.search("g", Search(probe=Probe(vectors=crowd.vector(2)), k=300))
        assert (len(answer.hits), answer.reranking.mode) == (len(crowd.items) - 1, "online")
        assert engine.verify("g").sound


def test_a_commit_that_memory_cannot_take_up_is_read_anew_from_the_database(
    filled: Path, crowd: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError("no room")

    with opened(filled) as engine:
        before = answers(engine, crowd)
        with monkeypatch.context() as patched:
            patched.setattr(one_gallery.Holdings, "apply", fail)
            engine.add("g", [replace(crowd.items[0], id="new", vector=-crowd.vector(0))])
        assert "reading everything anew" in caplog.text
        found = engine.search("g", Search(probe=Probe(vectors=-crowd.vector(0)), k=1))
        assert [hit.item.id for hit in found.hits] == ["new"]
        assert engine.count("g") == len(crowd.items) + 1
        engine.delete("g", ids=["new"])
        assert alike(answers(engine, crowd), before)
        assert engine.verify("g").sound


def test_closing_does_not_wait_for_a_build_and_the_next_start_takes_it_up(
    filled: Path, crowd: Any, held_up: threading.Event
) -> None:
    with opened(filled) as engine:
        gallery = engine._gallery("g")
        gallery.alone(gallery._holdings.give_up_graph)
        gallery._builder.start()
    assert not held_up.is_set()
    held_up.set()
    with opened(filled) as engine:
        assert len(answers(engine, crowd)) == 50
        assert engine.verify("g").sound


def test_a_gallery_changes_its_index_as_it_grows_and_shrinks(data: Path, settings: GallerySettings, crowd: Any) -> None:
    with opened(data, Sizes(flat_up_to=80, half_up_to=120, approximate_from=50, graph_up_to=200)) as engine:
        engine.create("g", settings)
        states = []
        for start in range(0, 240, 60):
            engine.add("g", crowd.items[start : start + 60])
            engine.settle("g")
            info = engine.info("g").index
            states.append((info.kind, info.graph))
            answer = engine.search("g", Search(probe=Probe(vectors=crowd.vector(1)), k=1000))
            assert len(answer.hits) == start + 60
            assert answer.exact == (info.kind != "signs")
        assert states == [("flat", "ready"), ("half", "ready"), ("signs", "ready"), ("signs", "too large")]
        index = engine._gallery("g").held.approximate
        assert isinstance(index, ApproximateIndex)
        assert engine.info("g").index.recall == index.recall >= 0.99
        engine.delete("g", ids=[item.id for item in crowd.items[:200]])
        engine.settle("g")
        assert (engine.info("g").index.kind, engine.info("g").index.graph) == ("flat", "ready")


def test_steps_are_reported_in_their_order(data: Path, settings: GallerySettings, crowd: Any) -> None:
    seen: list[str] = []
    steps.watcher = seen.append
    try:
        with opened(data) as engine:
            engine.create("g", settings.model_copy(update={"store_crops": True}))
            engine.add("g", [with_crop(crowd.items[0])])
    finally:
        steps.watcher = None
    wanted = ["gallery made", "registry written", "crop renamed", "committed", "searchable", "graph saved"]
    assert [step for step in seen if step in wanted] == wanted
    assert seen[-2:] == ["manifest saved", "superseded files removed"]


def test_a_full_disk_while_saving_what_is_derived_does_not_hurt_closing(
    filled: Path, crowd: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with opened(filled) as engine:
        engine.add("g", [replace(crowd.items[0], id="new")])
        monkeypatch.setattr(one_gallery.derived, "save", full)
    assert "saving what is derived failed" in caplog.text
    monkeypatch.undo()
    with opened(filled) as engine:
        assert engine.get("g", "new").id == "new"
        assert engine.verify("g").sound
