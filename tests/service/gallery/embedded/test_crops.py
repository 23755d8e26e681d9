"""Pictures are on the disk before they are acknowledged, are what they were, and go when nobody names them."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.gallery import CorruptError, StorageFullError
from service.gallery.embedded.crops import CropStore


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> CropStore:
    return CropStore(tmp_path / "crops")


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced and renamed, in order."""
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_sync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        order.append("sync file" if name.endswith(".tmp") else f"sync {name}")
        fsync(descriptor)

    def noted_replace(self: Path, target: Any) -> Path:
        order.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    return order


def test_a_crop_comes_back_by_its_hash(store: CropStore) -> None:
    assert store.put(b"one") == sha256(b"one")
    assert store.get(sha256(b"one")) == b"one"
    assert store.hashes() == {sha256(b"one")}
    assert (store.path / sha256(b"one")[:2] / sha256(b"one")).read_bytes() == b"one"


def test_a_crop_is_synced_then_renamed_then_its_directories_are_synced(
    store: CropStore, synced: list[str], watched: list[str]
) -> None:
    store.put(b"one")
    assert synced == [
        "sync file",
        "rename",
        f"sync {store.path.parent.name}",
        "sync crops",
        f"sync {sha256(b'one')[:2]}",
    ]
    assert watched == ["crop written", "crop renamed", "crops synced"]
    synced.clear()
    store.put(b"one")
    assert synced == [f"sync {sha256(b'one')[:2]}"]


def test_a_crop_of_the_wrong_size_is_written_again(store: CropStore) -> None:
    store.put(b"one")
    (store.path / sha256(b"one")[:2] / sha256(b"one")).write_bytes(b"o")
    store.put(b"one")
    assert store.get(sha256(b"one")) == b"one"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_leaves_none_of_the_new_crops_and_all_of_the_old(
    store: CropStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store.put(b"old")
    fsync, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFullError, match="free some space"):
        store.put_all([b"old", b"one", b"two"])
    monkeypatch.undo()
    assert [path.name for path in store.path.rglob("*") if path.is_file()] == [sha256(b"old")]


def test_another_error_of_the_disk_is_not_taken_for_a_full_one(
    store: CropStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="broken"):
        store.put(b"one")


def test_a_damaged_or_missing_crop_is_never_given(store: CropStore) -> None:
    store.put(b"one")
    (store.path / sha256(b"one")[:2] / sha256(b"one")).write_bytes(b"onf")
    with pytest.raises(CorruptError, match="not what it was"):
        store.get(sha256(b"one"))
    with pytest.raises(CorruptError, match="not there"):
        store.get(sha256(b"two"))


def test_check_names_what_is_missing_damaged_and_left_over(store: CropStore) -> None:
    for content in (b"one", b"two", b"three"):
        store.put(content)
    expected = {sha256(content) for content in (b"one", b"two", b"three")}
    assert store.check(expected) == []
    (store.path / sha256(b"one")[:2] / sha256(b"one")).unlink()
    (store.path / sha256(b"two")[:2] / sha256(b"two")).write_bytes(b"twp")
    (store.path / sha256(b"two")[:2] / ".left.tmp").write_bytes(b"")
    findings = {finding.problem: finding.serious for finding in store.check(expected - {sha256(b"three")})}
    (missing, damaged, surplus) = sorted(findings, key=lambda problem: "not there" not in problem)
    assert sha256(b"one")[:12] in missing
    assert sha256(b"two")[:12] in damaged
    assert surplus.startswith("2 files belong to no item")
    assert [findings[problem] for problem in (missing, damaged, surplus)] == [True, True, False]


def test_sweeping_removes_what_nobody_names_and_half_written_files(store: CropStore) -> None:
    store.put(b"one")
    store.put(b"two")
    (store.path / sha256(b"one")[:2] / ".0f.tmp").write_bytes(b"o")
    assert store.sweep({sha256(b"one")}) == 2
    assert [path.name for path in store.path.rglob("*") if path.is_file()] == [sha256(b"one")]


def test_nothing_is_unlinked_while_the_store_is_held(store: CropStore) -> None:
    for content in (b"one", b"two"):
        store.put(content)
    with store.held():
        with store.held():
            store.remove(sha256(b"one"))
            store.remove(sha256(b"two"))
            store.sweep(set())
        assert store.hashes() == {sha256(b"one"), sha256(b"two")}
        store.put(b"two")  # named again by an item
    assert store.hashes() == {sha256(b"two")}
    store.remove(sha256(b"two"))
    store.remove(sha256(b"two"))
    assert store.hashes() == set()


@pytest.mark.parametrize("links", [True, False])
def test_crops_are_linked_where_they_can_be_and_copied_where_not(
    tmp_path: Path, store: CropStore, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def no_links(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "another file system")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    store.put(b"one")
    other = CropStore(tmp_path / "other")
    assert store.link_into(other, {sha256(b"one"), sha256(b"gone")}) == 3
    for left in (None, b"o"):  # as it is, or as a stop left it
        if left is not None:
            target = next(path for path in other.path.rglob("*") if path.is_file())
            target.unlink()
            target.write_bytes(left)
        assert store.link_into(other, {sha256(b"one")}) == 3
        assert other.get(sha256(b"one")) == b"one"
    store.remove(sha256(b"one"))
    assert other.get(sha256(b"one")) == b"one"
    assert other.hashes() == {sha256(b"one")}


def test_an_empty_store_has_nothing(store: CropStore, files_with: Callable[[Path, bytes], list[str]]) -> None:
    assert store.hashes() == set()
    assert store.check(set()) == []
    assert store.sweep(set()) == 0
    assert store.put_all([]) == []
