"""A snapshot is one moment of a gallery, comes back as it was, and holds nothing of what was deleted since."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.gallery import CorruptError, Feedback, GallerySettings, NewItem, SnapshotInfo, StorageFullError
from service.gallery.embedded import snapshots, steps
from service.gallery.embedded.crops import CropStore
from service.gallery.embedded.truth import Truth

Make = Callable[..., NewItem]
Add = Callable[..., tuple[str, ...]]
Delete = Callable[..., int]
FilesWith = Callable[[Path, bytes], list[str]]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def crops(truth: Truth) -> CropStore:
    return CropStore(truth.path.parent / "crops")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "snapshots").mkdir()
    return tmp_path / "snapshots"


@pytest.fixture
def filled(truth: Truth, crops: CropStore, new_item: Make, add: Add, noon: Any) -> Truth:
    items = [
        new_item(f"item-{n}", n, person=f"person-{n}", metadata={"n": n}, crop=f"crop {n % 6}".encode())
        for n in range(10)
    ]
    add(truth, *items, keep=crops.put_all)
    with truth.transaction() as transaction:
        transaction.put_feedback([Feedback(item="item-1", verdict="same", probe_item="item-2")], noon)
    return truth


@pytest.fixture
def taken(filled: Truth, crops: CropStore, folder: Path) -> SnapshotInfo:
    return snapshots.take(filled, crops, folder, "demo")


def state(truth: Truth) -> tuple[Any, ...]:
    keys = truth.keys().tolist()
    items = {key: (item.id, item.person, item.metadata, item.has_crop) for key, item in truth.items(keys).items()}
    return items, truth.vectors().tobytes(), truth.feedback(), truth.change, truth.created_at, truth.settings


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Callable[..., Truth]]:
    opened: list[Truth] = []

    def restore(snapshot: Path, **more: Any) -> Truth:
        gallery = tmp_path / f"restored-{len(opened)}"
        gallery.mkdir()
        snapshots.restore_into(snapshot, gallery, **more)
        opened.append(Truth.open(gallery / "gallery.sqlite"))
        return opened[-1]

    yield restore
    for truth in opened:
        truth.close()


def test_a_snapshot_comes_back_as_the_gallery_was(
    filled: Truth, taken: SnapshotInfo, folder: Path, add: Add, delete: Delete, new_item: Make, restored: Any
) -> None:
    before = state(filled)
    delete(filled, "item-3", "item-9")
    add(filled, new_item("item-0", 77), new_item("new"))
    truth = restored(taken.path)
    assert state(truth) == before
    assert truth.check() == []
    kept = CropStore(truth.path.parent / "crops")
    assert kept.hashes() == {sha256(f"crop {n}".encode()) for n in range(6)} == truth.crop_hashes()
    assert kept.check(truth.crop_hashes()) == []
    assert snapshots.listing(folder) == (taken,)
    assert (taken.gallery, taken.count, taken.change) == ("demo", 10, 2)
    assert taken.bytes == sum(
        path.stat().st_size for path in taken.path.rglob("*") if path.name != "manifest.json" and path.is_file()
    )
    assert snapshots.check(taken.path) == []


def test_a_restored_gallery_lives_on_by_itself(
    taken: SnapshotInfo, filled: Truth, add: Add, new_item: Make, restored: Any
) -> None:
    truth = restored(taken.path)
    assert truth.identity == filled.identity
    assert truth.lineage != filled.lineage
    add(truth, new_item("x"))
    assert truth.key_of("x") == 11
    another = restored(taken.path, name="other")
    assert (another.name, truth.name) == ("other", "demo")
    assert another.identity != filled.identity
    assert snapshots.check(taken.path) == []
    assert snapshots.of_gallery(taken.path.parent, truth) == (taken,)
    assert snapshots.of_gallery(taken.path.parent, another) == ()


def test_the_steps_of_taking_and_restoring(
    filled: Truth, crops: CropStore, folder: Path, tmp_path: Path, watched: list[str]
) -> None:
    seen: list[tuple[str, list[str]]] = []

    def look(step: str) -> None:
        seen.append((step, [info.name for info in snapshots.listing(folder)]))

    steps.watcher = look
    info = snapshots.take(filled, crops, folder, "demo")
    listed = {step: bool(names) for step, names in seen}
    assert listed == {
        "snapshot copied": False,
        "snapshot linked": False,
        "snapshot described": False,
        "snapshot named": True,
    }
    steps.watcher = watched.append
    (tmp_path / "restored").mkdir()
    snapshots.restore_into(info.path, tmp_path / "restored")
    snapshots.remove(info.path)
    assert watched == ["restore copied", "restore linked", "restore adopted", "snapshot hidden", "snapshot removed"]
    assert list(folder.iterdir()) == []


def test_two_snapshots_of_one_second_have_two_names(filled: Truth, crops: CropStore, folder: Path) -> None:
    names = {snapshots.take(filled, crops, folder, "demo").name for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("demo-") for name in names)


def test_a_crop_that_is_deleted_meanwhile_is_in_the_snapshot_if_its_item_is(
    filled: Truth, crops: CropStore, folder: Path, delete: Delete
) -> None:
    def meanwhile(step: str) -> None:
        if step == "snapshot copied":
            steps.watcher = None
            delete(filled, "item-5")
            crops.remove(sha256(b"crop 5"))

    steps.watcher = meanwhile
    info = snapshots.take(filled, crops, folder, "demo")
    assert snapshots.check(info.path) == []
    assert info.count == 10
    assert CropStore(info.path / "crops").get(sha256(b"crop 5")) == b"crop 5"
    assert sha256(b"crop 5") not in crops.hashes()


@pytest.mark.parametrize("step", ["snapshot copied", "snapshot linked", "snapshot described"])
def test_what_was_stopped_is_no_snapshot_and_is_tidied_up(
    filled: Truth, crops: CropStore, folder: Path, step: str
) -> None:
    def copy_aside(reached: str) -> None:
        if reached == step:
            shutil.copytree(folder, folder.with_name("stopped"))  # as a process that was killed would leave it

    steps.watcher = copy_aside
    snapshots.take(filled, crops, folder, "demo")
    steps.watcher = None
    stopped = folder.with_name("stopped")
    assert snapshots.listing(stopped) == ()
    assert list(stopped.iterdir()) != []
    snapshots.tidy(stopped)
    assert list(stopped.iterdir()) == []


def test_a_full_disk_leaves_no_snapshot(
    filled: Truth, crops: CropStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(filled, "copy_to", full)
    with pytest.raises(StorageFullError, match="free some space"):
        snapshots.take(filled, crops, folder, "demo")
    assert list(folder.iterdir()) == []


DAMAGE: dict[str, Callable[[Path], None]] = {
    "a flipped byte": lambda path: _flip(path / "gallery.sqlite"),
    "a cut database": lambda path: (path / "gallery.sqlite").write_bytes((path / "gallery.sqlite").read_bytes()[:-100]),
    "no database": lambda path: (path / "gallery.sqlite").unlink(),
    "no manifest": lambda path: (path / "manifest.json").unlink(),
    "a cut manifest": lambda path: (path / "manifest.json").write_bytes((path / "manifest.json").read_bytes()[:50]),
    "an altered manifest": lambda path: (path / "manifest.json").write_bytes(
        (path / "manifest.json").read_bytes().replace(b'"count": 10', b'"count": 11')
    ),
    "a manifest of something else": lambda path: (path / "manifest.json").write_bytes(b"[]"),
}


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_snapshot_is_not_restored(
    taken: SnapshotInfo, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(taken.path)
    gallery = tmp_path / "restored"
    gallery.mkdir()
    with pytest.raises(CorruptError):
        snapshots.restore_into(taken.path, gallery)
    assert list(gallery.iterdir()) == []
    assert [finding.serious for finding in snapshots.check(taken.path)] == [True]


def test_a_snapshot_without_a_crop_is_found_and_can_be_restored(taken: SnapshotInfo, restored: Any) -> None:
    (lost,) = (taken.path / "crops").rglob(sha256(b"crop 2"))
    lost.unlink()
    (finding,) = snapshots.check(taken.path)
    assert sha256(b"crop 2")[:12] in finding.problem
    truth = restored(taken.path)
    assert truth.count == 10
    (finding,) = CropStore(truth.path.parent / "crops").check(truth.crop_hashes())
    assert finding.serious


def test_after_scrubbing_nothing_of_what_was_deleted_is_in_the_snapshot(
    filled: Truth, taken: SnapshotInfo, delete: Delete, files_with: FilesWith, restored: Any, watched: list[str]
) -> None:
    crop_of = {n: f"crop {n % 6}".encode() for n in range(10)}
    assert files_with(taken.path, b"item-2")
    assert files_with(taken.path, crop_of[2])
    delete(filled, "item-2", "item-8")  # all that name crop 2
    delete(filled, "item-3")
    watched.clear()
    assert snapshots.scrub(taken.path, filled.erased())
    assert [step for step in watched if step.startswith("scrub")] == [
        "scrub copied",
        "scrub erased",
        "scrub described",
        "scrub removed",
    ]
    for word in (b"item-2", b"item-8", b"item-3", b"person-2", b"person-3", crop_of[2]):
        assert files_with(taken.path, word) == [], word
    assert files_with(taken.path, crop_of[3])  # item-9 has the same
    assert snapshots.check(taken.path) == []
    truth = restored(taken.path)
    assert sorted(truth.keys().tolist()) == [1, 2, 5, 6, 7, 8, 10]
    assert truth.feedback() == ()
    assert truth.erased() == ()
    assert truth.check() == []
    assert snapshots.read(taken.path).count == 7
    assert not snapshots.scrub(taken.path, filled.erased())


def test_only_what_was_deleted_is_scrubbed(
    filled: Truth, crops: CropStore, folder: Path, delete: Delete, add: Add, new_item: Make, restored: Any
) -> None:
    first = snapshots.take(filled, crops, folder, "demo")
    delete(filled, "item-4")
    add(filled, new_item("item-4", 44), new_item("item-5", 55))  # back again; replaced
    second = snapshots.take(filled, crops, folder, "demo")
    erased = filled.erased()
    assert snapshots.scrub(first.path, erased)
    assert snapshots.scrub(second.path, erased)  # it listed the deletion
    assert restored(first.path).keys_of(["item-4", "item-5"]) == {"item-5": 6}
    assert restored(second.path).keys_of(["item-4", "item-5"]) == {"item-4": 11, "item-5": 12}


def test_keys_of_a_restored_gallery_do_not_hide_what_its_older_snapshots_hold(
    filled: Truth, crops: CropStore, folder: Path, delete: Delete, add: Add, new_item: Make, restored: Any
) -> None:
    early = snapshots.take(filled, crops, folder, "demo")
    add(filled, *(new_item(f"more-{n}", n) for n in range(50)), new_item("late"))
    late = snapshots.take(filled, crops, folder, "demo")
    truth = restored(early.path)
    add(truth, new_item("late"))
    delete(truth, "late")
    assert late.count == 61
    assert truth.erased()[0].up_to_key == 11  # smaller than the key that the item has in the later snapshot
    assert snapshots.scrub(late.path, truth.erased())
    assert restored(late.path).key_of("late") is None


def test_an_erased_id_is_denied_after_a_restore_too(
    tmp_path: Path,
    small_settings: GallerySettings,
    folder: Path,
    add: Add,
    delete: Delete,
    new_item: Make,
    restored: Any,
) -> None:
    (tmp_path / "deny").mkdir()
    settings = small_settings.model_copy(update={"deny_erased": True})
    with closing(Truth.create(tmp_path / "deny" / "gallery.sqlite", "deny", settings)) as truth:
        add(truth, new_item("a"), new_item("b"))
        info = snapshots.take(truth, CropStore(tmp_path / "deny" / "crops"), folder, "deny")
        delete(truth, "a")
        snapshots.scrub(info.path, truth.erased())
    assert add(restored(info.path), new_item("a"), new_item("b")) == ("denied", "unchanged")


@pytest.mark.parametrize("step", ["scrub copied", "scrub erased", "scrub described"])
def test_a_scrub_that_was_stopped_leaves_a_whole_snapshot_and_is_done_again(
    filled: Truth, taken: SnapshotInfo, delete: Delete, tmp_path: Path, files_with: FilesWith, step: str
) -> None:
    delete(filled, "item-2", "item-8")
    stopped = tmp_path / "stopped" / taken.name

    def copy_aside(reached: str) -> None:
        if reached == step:
            shutil.copytree(taken.path, stopped)

    steps.watcher = copy_aside
    snapshots.scrub(taken.path, filled.erased())
    steps.watcher = None
    assert [finding for finding in snapshots.check(stopped) if finding.serious] == []
    assert snapshots.read(stopped).count == (8 if step == "scrub described" else 10)
    snapshots.scrub(stopped, filled.erased())
    assert snapshots.check(stopped) == []
    assert files_with(stopped, b"item-2") == []
    assert files_with(stopped, b"crop 2") == []


def test_a_damaged_snapshot_is_not_listed(taken: SnapshotInfo, folder: Path) -> None:
    (taken.path / "manifest.json").write_text(json.dumps({"manifest": {}, "sha256": "0"}))
    assert snapshots.listing(folder) == ()


def test_a_snapshot_does_not_change_with_the_gallery(
    filled: Truth, taken: SnapshotInfo, crops: CropStore, restored: Any
) -> None:
    """Crops may be links to the same file: neither store writes into one that is there."""
    shutil.rmtree(crops.path)
    crops.put(b"crop 1")
    assert snapshots.check(taken.path) == []
    assert np.array_equal(restored(taken.path).vectors(), filled.vectors())
