"""A gallery comes over from the embedded engine: all of it, later what has changed, and never half of it seen."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.gallery import (
    BadItemError,
    CorruptError,
    ExistsError,
    Feedback,
    Filter,
    GallerySettings,
    NewItem,
    NoSuchGalleryError,
    Probe,
    Search,
)
from service.gallery.embedded import EmbeddedEngine
from service.gallery.milvus import Copied, MilvusEngine, copying, gallery_file, registry, schema

OpenMilvus = Callable[..., MilvusEngine]


class StoppedError(Exception):
    pass


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what takes an hour in one gallery has as many steps here."""
    monkeypatch.setattr(copying, "AT_ONCE", 7)
    monkeypatch.setattr(gallery_file, "BLOCK", 7)


@pytest.fixture
def settings(settings: GallerySettings) -> GallerySettings:
    return settings.model_copy(update={"store_crops": True, "deny_erased": True})


@pytest.fixture
def embedded(tmp_path: Path, settings: GallerySettings, crowd: Any) -> Iterator[EmbeddedEngine]:
    """With a gallery `g` of 40 items, of which 3 were deleted and one replaced."""
    with EmbeddedEngine.open(tmp_path / "embedded", upkeep=False) as engine:
        engine.create("g", settings)
        items = [pictured(item) for item in crowd.items[:43]]
        for n in (7, 20):  # one is to be replaced, and one deleted: with each goes its picture
            items[n] = replace(items[n], crop=items[n].id.encode())
        engine.add("g", items)
        engine.delete("g", ids=[item.id for item in crowd.items[:3]])
        engine.add("g", [replace(pictured(crowd.items[10]), camera="another", metadata={"coat": "red", "n": 1.0})])
        engine.add_feedback("g", [said(crowd, 6, 5, "different")])
        yield engine


def pictured(item: NewItem) -> NewItem:
    return replace(item, crop=f"picture {int(item.id[-4:]) % 5}".encode())


def said(crowd: Any, probe: int, item: int, verdict: Any) -> Feedback:
    return Feedback(item=crowd.items[item].id, verdict=verdict, probe_item=crowd.items[probe].id)


def copy(embedded: EmbeddedEngine, milvus: MilvusEngine, **how: Any) -> Copied:
    return milvus.copy_in(embedded.snapshot("g").path, **how)


def listed(engine: Any, name: str = "g") -> list[tuple[Any, ...]]:
    """All that an item is, its vector to the last bit."""
    return [
        (*(getattr(item, field.name) for field in fields(item) if field.name != "vector"), item.vector.tobytes())
        for item in engine.list(name, limit=1000, vectors=True).items
    ]


def found(engine: Any, crowd: Any, name: str = "g", **how: Any) -> list[list[tuple[str, float]]]:
    searches = [Search(probe=Probe(vectors=crowd.vector(n)), k=100, rerank="off", **how) for n in range(4)]
    searches.append(Search(probe=Probe(item=crowd.items[6].id), k=100, rerank="off", **how))
    return [[(hit.item.id, hit.score) for hit in engine.search(name, search).hits] for search in searches]


def equal(embedded: EmbeddedEngine, milvus: MilvusEngine, crowd: Any) -> None:
    """Whatever can be asked of the two."""
    assert listed(milvus) == listed(embedded)
    for how in ({}, {"filter": Filter(cameras=("c1",))}, {"filter": Filter(metadata={"coat": "red"})}):
        for ours, theirs in zip(found(milvus, crowd, **how), found(embedded, crowd, **how), strict=True):
            assert [id for id, _ in ours] == [id for id, _ in theirs]
            assert [score for _, score in ours] == pytest.approx([score for _, score in theirs], abs=1e-6)
    assert milvus.feedback("g") == embedded.feedback("g")
    assert milvus.summary("g") == embedded.summary("g")
    for item in embedded.list("g", limit=1000).items:
        assert milvus.crop("g", item.id) == embedded.crop("g", item.id)
    kept = {path.name for path in milvus._crops(milvus._registry.entry("g")).path.rglob("*") if path.is_file()}
    assert kept == {item.crop_sha256 for item in embedded.list("g", limit=1000).items}
    assert milvus.verify("g").sound
    with closing(sqlite3.connect(embedded._gallery("g").truth.path)) as database:
        hashes = {hash for (hash,) in database.execute("SELECT hash FROM denied")}
    assert set(milvus._remembered.all_denied(milvus._registry.entry("g"))) == hashes


def change(embedded: EmbeddedEngine, crowd: Any) -> None:
    """20 new, 2 replaced, 9 deleted."""
    embedded.add("g", [pictured(item) for item in crowd.items[43:63]])
    embedded.add("g", [replace(crowd.items[n], camera="elsewhere", crop=b"quite another") for n in (7, 50)])
    embedded.delete("g", ids=[crowd.items[n].id for n in (4, 20, 21, 22, 23, 24, 30, 31, 60)])
    embedded.add_feedback(
        "g", [said(crowd, 7, 8, "same"), Feedback(item=crowd.items[9].id, verdict="same", probe_name="n")]
    )


def test_all_of_a_gallery_comes_over(embedded: EmbeddedEngine, milvus: MilvusEngine, crowd: Any) -> None:
    told: list[tuple[str, int, int]] = []
    done = copy(embedded, milvus, progress=lambda *what: told.append(what))
    assert (done.gallery, done.items, done.added, done.removed, done.unchanged) == ("g", 40, 40, 0, 0)
    assert (done.verified, done.pictures, done.first, done.up_to_date) == (40, 7, True, False)
    assert told[0] == ("copied", 7, 40)
    assert told[-1] == ("verified", 40, 40)
    equal(embedded, milvus, crowd)
    (there, here) = embedded.info("g"), milvus.info("g")
    assert (here.settings, here.created_at, here.change) == (there.settings, there.created_at, there.change)
    entry = milvus._registry.entry("g")
    assert {(pair.id, pair.lineage) for pair in milvus._remembered.purge_list(entry)} == {
        (item.id, entry.lineage) for item in crowd.items[:3]
    }
    assert [one.outcome for one in milvus.add("g", crowd.items[:4])] == ["denied", "denied", "denied", "replaced"]


def test_a_copy_catches_up_with_what_was_added_replaced_and_deleted(
    embedded: EmbeddedEngine, milvus: MilvusEngine, crowd: Any
) -> None:
    copy(embedded, milvus)
    change(embedded, crowd)
    done = copy(embedded, milvus)
    assert (done.items, done.added, done.removed, done.unchanged, done.first) == (51, 20, 8, 31, False)
    assert done.verified == 51
    equal(embedded, milvus, crowd)
    # Once the old service is stopped, the copy is a gallery as any: its own keys and lists go on from there.
    milvus.add("g", [pictured(item) for item in crowd.items[70:75]])
    milvus.delete("g", ids=[crowd.items[70].id])
    assert [item.id for item in milvus.list("g", limit=1000).items][-4:] == [item.id for item in crowd.items[71:75]]
    milvus.restore(milvus.snapshot("g").name, name="again")
    assert milvus.count("again") == 55


def test_a_copy_of_what_is_there_already_changes_nothing_and_reads_nothing(
    embedded: EmbeddedEngine, milvus: MilvusEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(embedded, milvus)
    before = milvus._registry.entry("g")
    monkeypatch.setattr(milvus._server, "upsert", None)
    monkeypatch.setattr(gallery_file, "reading", None)
    done = copy(embedded, milvus)
    assert (done.up_to_date, done.items, done.added, done.removed, done.unchanged) == (True, 40, 0, 0, 40)
    assert milvus._registry.entry("g") == before


def test_what_is_of_a_copy_alone_stays(embedded: EmbeddedEngine, milvus: MilvusEngine, crowd: Any) -> None:
    """What is noted of neighbours, and an item that was deleted there stays in the list for the copy's snapshots."""
    copy(embedded, milvus)
    milvus.refresh("g")
    taken = milvus.snapshot("g")
    embedded.delete("g", ids=[crowd.items[8].id])
    embedded.compact("g")
    embedded.add("g", [pictured(crowd.items[100])])
    copy(embedded, milvus)
    assert milvus.info("g").index.stale == 1
    milvus.compact("g")
    milvus.restore(taken.name, name="before")
    assert crowd.items[8].id not in {item.id for item in milvus.list("before", limit=1000).items}


# ---- stops -----------------------------------------------------------------------------------------------------------


def stopped_after(steps: int) -> Callable[[str, int, int], None]:
    left = [steps]

    def told(stage: str, done: int, of: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise StoppedError(stage)

    return told


def test_a_first_copy_that_is_stopped_anywhere_is_not_seen_and_goes_on(
    embedded: EmbeddedEngine, open_milvus: OpenMilvus, crowd: Any
) -> None:
    taken = embedded.snapshot("g").path
    engine, other = open_milvus(), open_milvus()
    collections: set[tuple[str, ...]] = set()
    for stage, steps in [*(("copied", 1) for _ in range(6)), *(("verified", n) for n in range(1, 8))]:
        with pytest.raises(StoppedError, match=stage):
            engine.copy_in(taken, progress=stopped_after(steps))
        collections.add(tuple(sorted(engine._server.change(lambda client: client.list_collections()))))
        assert other.galleries() == ()
        with pytest.raises(NoSuchGalleryError):
            other.count("g")
    assert len(collections) == 1
    done = engine.copy_in(taken)
    assert (done.added, done.unchanged, done.verified, done.first) == (0, 40, 40, True)
    equal(embedded, other, crowd)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 7])
def test_a_copy_that_is_stopped_while_it_catches_up_goes_on(
    embedded: EmbeddedEngine, milvus: MilvusEngine, crowd: Any, steps: int
) -> None:
    copy(embedded, milvus)
    change(embedded, crowd)
    with pytest.raises(StoppedError):
        copy(embedded, milvus, progress=stopped_after(steps))
    assert milvus.verify("g").sound
    done = copy(embedded, milvus)
    assert not done.up_to_date
    assert (done.items, done.verified) == (51, 51)
    equal(embedded, milvus, crowd)


def test_a_first_copy_goes_on_from_a_later_snapshot(embedded: EmbeddedEngine, milvus: MilvusEngine, crowd: Any) -> None:
    with pytest.raises(StoppedError):
        copy(embedded, milvus, progress=stopped_after(4))
    change(embedded, crowd)
    embedded.delete("g", ids=[crowd.items[n].id for n in (3, 5, 62)])
    embedded.compact("g")
    done = copy(embedded, milvus)
    assert (done.items, done.unchanged, done.removed) == (48, 17, 10)
    equal(embedded, milvus, crowd)


@pytest.mark.parametrize("done", [True, False], ids=["after", "before"])
def test_a_process_that_dies_while_it_deletes_from_a_copy_leaves_a_copy(
    embedded: EmbeddedEngine, milvus: MilvusEngine, crowd: Any, done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(embedded, milvus)
    change(embedded, crowd)
    delete = milvus._server.delete

    def stopped(collection: str, expression: str) -> int:
        if done:
            delete(collection, expression)
        raise KeyboardInterrupt

    monkeypatch.setattr(milvus._server, "delete", stopped)
    with pytest.raises(KeyboardInterrupt):
        copy(embedded, milvus)
    monkeypatch.undo()
    copy(embedded, milvus)
    equal(embedded, milvus, crowd)


def test_a_copy_that_nobody_goes_on_with_is_dropped_a_week_later_and_not_before(
    embedded: EmbeddedEngine, milvus: MilvusEngine, settings: GallerySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoppedError):
        copy(embedded, milvus, progress=stopped_after(2))
    begun = milvus._copying._copies.unpublished("g")
    assert begun is not None
    monkeypatch.setattr(registry, "FORGOTTEN", -10.0)
    assert milvus._registry.forgotten() == []
    monkeypatch.setattr(registry, "COPY_FORGOTTEN", -10.0)
    assert milvus._registry.forgotten() == [begun.collection]
    milvus.create("h", settings)
    assert milvus._registry.forgotten() == []
    assert milvus._copying._copies.unpublished("g") is None
    assert not milvus._server.change(lambda client: client.has_collection(begun.collection))


def test_what_was_begun_otherwise_makes_room(embedded: EmbeddedEngine, milvus: MilvusEngine) -> None:
    with pytest.raises(StoppedError):
        copy(embedded, milvus, progress=stopped_after(2))
    begun = milvus._copying._copies.unpublished("g")
    assert begun is not None
    done = copy(embedded, milvus, index="ivf")
    assert (done.added, milvus.info("g").settings.index) == (40, "ivf")
    assert not milvus._server.change(lambda client: client.has_collection(begun.collection))
    assert copy(embedded, milvus).up_to_date
    with pytest.raises(BadItemError, match="made with index ivf, and that stays: leave --index out"):
        copy(embedded, milvus, index="hnsw")
    entry = milvus._registry.entry("g")
    milvus.drop("g")
    assert milvus._copying._copies.of(entry.collection) is None


# ---- what is no copy -------------------------------------------------------------------------------------------------


def test_a_copy_that_was_written_to_is_refused_and_left_as_it_is(
    embedded: EmbeddedEngine, milvus: MilvusEngine, crowd: Any
) -> None:
    writes: list[Callable[[], object]] = [
        lambda: milvus.add("g", [pictured(crowd.items[100])]),
        lambda: milvus.delete("g", ids=[crowd.items[5].id]),
        lambda: milvus.add_feedback("g", [said(crowd, 6, 7, "same")]),
        lambda: milvus.withdraw_feedback("g", [said(crowd, 6, 5, "different")]),
    ]
    for write in writes:
        copy(embedded, milvus)
        write()
        before = listed(milvus)
        embedded.add("g", [replace(pictured(crowd.items[110]), camera=f"c{len(before)}")])
        with pytest.raises(ExistsError, match=r"'g' on Milvus was written to since it was copied.* --as NEW"):
            copy(embedded, milvus)
        assert listed(milvus) == before
        milvus.drop("g")


def test_a_copy_that_is_written_to_while_it_catches_up_is_given_up(
    embedded: EmbeddedEngine, milvus: MilvusEngine, crowd: Any
) -> None:
    copy(embedded, milvus)
    change(embedded, crowd)
    written: list[Any] = []

    def write(stage: str, done: int, of: int) -> None:
        if stage == "copied" and not written:
            written.extend(milvus.add("g", [pictured(crowd.items[100])]))

    with pytest.raises(ExistsError, match="was written to since"):
        copy(embedded, milvus, progress=write)
    assert milvus.get("g", crowd.items[100].id).id == crowd.items[100].id


def test_purging_what_has_expired_leaves_a_copy_one(embedded: EmbeddedEngine, milvus: MilvusEngine, crowd: Any) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=3600)
    embedded.add("g", [replace(item, expires_at=soon) for item in crowd.items[100:104]])
    embedded.add("g", [replace(crowd.items[105], expires_at=datetime(2020, 1, 1, tzinfo=UTC))])
    assert copy(embedded, milvus).items == 44  # what has expired stays behind
    entry = milvus._registry.entry("g")
    there = milvus._server.query(entry.collection, f"key == {entry.next_key - 2}", ["*"], entry.seen)
    milvus._registry.noted(entry, milvus._server.upsert(entry.collection, [dict(there[0]) | {"expires_at": 1}]))
    assert milvus.purge_expired("g") == 1
    embedded.add("g", crowd.items[110:112])
    embedded.delete("g", ids=[item.id for item in crowd.items[100:104]])
    done = copy(embedded, milvus)
    assert (done.added, done.items) == (2, 42)


def test_what_is_no_copy_of_this_gallery_is_refused(
    embedded: EmbeddedEngine, milvus: MilvusEngine, settings: GallerySettings, crowd: Any
) -> None:
    milvus.create("g", settings)
    for make in (lambda: None, lambda: milvus.restore(embedded.snapshot("g").path, replace=True)):
        make()
        before = listed(milvus)
        with pytest.raises(ExistsError, match=r"gallery 'g' on Milvus is no copy of gallery 'g'.* --as"):
            copy(embedded, milvus)
        assert listed(milvus) == before
    assert copy(embedded, milvus, name="h").items == 40
    assert listed(milvus, "h") == listed(embedded)
    assert milvus._registry.entry("h").identity != milvus._registry.entry("g").identity
    old = embedded.snapshot("g")
    embedded.add("g", crowd.items[100:101])
    copy(embedded, milvus, name="h")
    with pytest.raises(BadItemError, match=r"has come to change \d+: take a new snapshot"):
        milvus.copy_in(old.path, name="h")
    embedded.restore(old.name, replace=True)
    embedded.add("g", crowd.items[102:105])
    with pytest.raises(ExistsError, match="was restored from a snapshot since"):
        copy(embedded, milvus, name="h")
    assert milvus.count("h") == 41


# ---- verification ----------------------------------------------------------------------------------------------------


def damage(milvus: MilvusEngine, collection: str, id: str, **wrong: Any) -> None:
    every = milvus._server.query(collection, "key > 0", ["*"], milvus._server.time())
    damaged = dict(next(one for one in every if one["id"] == id))
    if "vector" in wrong:
        wrong["vector"] = wrong["vector"](damaged["vector"])
    milvus._server.upsert(collection, [damaged | wrong])


def nudged(vector: list[float]) -> list[float]:
    return [vector[0] + 1e-6, *vector[1:]]


@pytest.mark.parametrize(
    "wrong", [{"camera": "x"}, {"vector": nudged}, {"viewpoint": 9}, {"key": 2**40}], ids=lambda each: next(iter(each))
)
def test_a_copy_that_is_not_what_was_written_is_found_out(
    embedded: EmbeddedEngine, milvus: MilvusEngine, crowd: Any, wrong: dict[str, Any]
) -> None:
    copy(embedded, milvus)
    collection = milvus._registry.entry("g").collection
    damage(milvus, collection, crowd.items[12].id, **wrong)
    embedded.add("g", crowd.items[100:101])
    if "key" in wrong:  # an item that nothing leads to any more is one too many, until it is written anew
        assert copy(embedded, milvus).items == 41
        return
    for _ in range(2):  # it is not taken for whole afterwards
        with pytest.raises(CorruptError, match=rf"1 items .*{crowd.items[12].id}.*copy it anew with --as NEW"):
            copy(embedded, milvus)


def test_a_first_copy_that_is_not_sound_is_not_published_and_begun_anew(
    embedded: EmbeddedEngine, milvus: MilvusEngine, crowd: Any
) -> None:
    taken = embedded.snapshot("g").path

    def hurt(stage: str, done: int, of: int) -> None:
        begun = milvus._copying._copies.unpublished("g")
        if stage == "copied" and done == of and begun is not None:
            damage(milvus, begun.collection, crowd.items[12].id, person="somebody else")

    with pytest.raises(CorruptError, match="it was not published; run the same again, which begins anew"):
        milvus.copy_in(taken, progress=hurt)
    assert milvus.galleries() == ()
    assert milvus._copying._copies.unpublished("g") is None
    assert milvus.copy_in(taken).added == 40
    equal(embedded, milvus, crowd)


def test_a_picture_that_is_not_what_it_was_is_found_out(embedded: EmbeddedEngine, milvus: MilvusEngine) -> None:
    taken = embedded.snapshot("g").path
    picture = next(path for path in (taken / "crops").rglob("*") if path.is_file())
    content = picture.read_bytes()
    picture.unlink()
    picture.write_bytes(b"x" * len(content))
    with pytest.raises(CorruptError, match=r"pictures of \d+ are wrong"):
        milvus.copy_in(taken)
    picture.unlink()
    with pytest.raises(CorruptError, match=r"pictures of \d+ are wrong"):
        milvus.copy_in(taken)
    picture.write_bytes(content)
    assert milvus.copy_in(taken).pictures == 7


def test_a_copy_whose_collection_is_gone_is_told_in_a_sentence(
    embedded: EmbeddedEngine, milvus: MilvusEngine, crowd: Any
) -> None:
    with pytest.raises(StoppedError):
        copy(embedded, milvus, progress=stopped_after(2))
    begun = milvus._copying._copies.unpublished("g")
    assert begun is not None
    schema.drop(milvus._server, begun.collection)
    assert copy(embedded, milvus).added == 40  # nobody has seen it, so it is begun anew
    schema.drop(milvus._server, milvus._registry.entry("g").collection)
    embedded.add("g", crowd.items[100:101])
    with pytest.raises(CorruptError, match=r"if the gallery is listed there, drop it; then copy it again"):
        copy(embedded, milvus)
    milvus.drop("g")
    assert copy(embedded, milvus).added == 41


def test_a_snapshot_that_is_damaged_is_not_copied(embedded: EmbeddedEngine, milvus: MilvusEngine) -> None:
    taken = embedded.snapshot("g").path
    with (taken / "gallery.sqlite").open("r+b") as file:
        file.seek(5000)
        file.write(b"other")
    with pytest.raises(CorruptError, match="its manifest says"):
        milvus.copy_in(taken)
    assert milvus.galleries() == ()
