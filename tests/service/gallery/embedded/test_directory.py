"""Galleries come, go and change names at one instant each, in a directory that one process has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.gallery import CorruptError, ExistsError, GalleryError, LockedError, NoSuchGalleryError
from service.gallery.embedded import steps
from service.gallery.embedded.directory import DataDirectory


class StopError(Exception):
    pass


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "some" / "data"


def published(directory: DataDirectory, name: str, replace: bool = False) -> Path:
    path = directory.reserve(name)
    (path / "content").write_text(path.name)
    directory.publish(name, path, replace)
    return path


def stopped_at(step: str, work: object, *arguments: object) -> None:
    """Runs until a step is reached and leaves everything as it is then."""

    def stop(reached: str) -> None:
        if reached == step:
            raise StopError

    steps.watcher = stop
    try:
        with pytest.raises(StopError):
            work(*arguments)  # type: ignore[operator]
    finally:
        steps.watcher = None


def test_a_directory_is_made_and_remembers_its_galleries(data: Path) -> None:
    first = DataDirectory.open(data)
    assert first.galleries() == {}
    path = published(first, "demo")
    assert path.parent == data / "galleries"
    first.close()
    again = DataDirectory.open(data)
    assert again.galleries() == {"demo": path}
    assert again.snapshots == data / "snapshots"
    assert again.snapshots.is_dir()
    again.close()


def test_a_second_process_is_refused_and_told_who_has_it(data: Path) -> None:
    directory = DataDirectory.open(data)
    program = (
        "import sys; from pathlib import Path; from service.gallery.embedded.directory import DataDirectory\n"
        "try: DataDirectory.open(Path(sys.argv[1]))\n"
        "except ValueError as error: sys.exit(f'{type(error).__name__}: {error}')"
    )
    run = [sys.executable, "-c", program, str(data)]
    refused = subprocess.run(run, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("LockedError")
    assert f"process {os.getpid()} (" in refused.stderr
    assert "--server" in refused.stderr
    with pytest.raises(LockedError, match=f"process {os.getpid()}"):
        DataDirectory.open(data)  # nor the same one twice
    directory.close()
    assert subprocess.run(run, capture_output=True, check=False).returncode == 0


def test_a_reserved_directory_is_gone_after_a_stop(data: Path) -> None:
    directory = DataDirectory.open(data)
    kept = published(directory, "kept")
    stopped_at("directory reserved", directory.reserve, "other")
    (data / "galleries" / "notes").mkdir()  # not ours: left alone
    directory.close()
    again = DataDirectory.open(data)
    assert again.galleries() == {"kept": kept}
    assert sorted(path.name for path in (data / "galleries").iterdir()) == sorted([kept.name, "notes"])
    again.close()


def test_dropping_takes_the_name_first(data: Path) -> None:
    directory = DataDirectory.open(data)
    path = published(directory, "demo")
    stopped_at("registry written", directory.withdraw, "demo")
    assert path.is_dir()
    directory.close()
    again = DataDirectory.open(data)
    assert again.galleries() == {}
    assert not path.exists()
    with pytest.raises(NoSuchGalleryError, match="none yet"):
        again.withdraw("demo")
    again.close()


def test_dropping_removes_the_directory(data: Path, watched: list[str]) -> None:
    directory = DataDirectory.open(data)
    path = published(directory, "demo")
    directory.withdraw("demo")
    assert not path.exists()
    assert watched == ["directory reserved", "registry written", "registry written", "directory removed"]
    directory.close()


def test_a_name_that_is_taken_is_replaced_only_if_asked_for(data: Path) -> None:
    directory = DataDirectory.open(data)
    old = published(directory, "demo")
    with pytest.raises(ExistsError, match="'demo'"):
        published(directory, "demo")
    new = published(directory, "demo", replace=True)
    assert directory.galleries() == {"demo": new}
    assert not old.exists()
    directory.close()


def test_renaming_moves_no_file(data: Path) -> None:
    directory = DataDirectory.open(data)
    one, two = published(directory, "one"), published(directory, "two")
    with pytest.raises(ExistsError, match="'two'"):
        directory.rename("one", "two")
    directory.rename("one", "one")
    directory.rename("one", "three")
    assert directory.galleries() == {"three": one, "two": two}
    directory.rename("three", "two", replace=True)
    assert directory.galleries() == {"two": one}
    assert not two.exists()
    with pytest.raises(NoSuchGalleryError, match="there are: two"):
        directory.rename("one", "four")
    directory.close()


DAMAGE = {
    "gone": None,
    "empty": b"",
    "cut": b'{"format": 1, "galler',
    "of another kind": b"[1]",
    "of a newer format": b'{"format": 2, "galleries": {}}',
    "leading outside": b'{"format": 1, "galleries": {"demo": "../../etc-abcdef"}}',
}


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_registry_is_refused_and_no_gallery_is_lost(data: Path, content: bytes | None) -> None:
    directory = DataDirectory.open(data)
    path = published(directory, "demo")
    directory.close()
    registry = data / "registry.json"
    if content is None:
        registry.unlink()
    else:
        registry.write_bytes(content)
    with pytest.raises(CorruptError, match=rf'"demo": "{path.name}"') as refused:
        DataDirectory.open(data)
    assert (path / "content").exists()
    # What it says to write is what helps.
    registry.write_text(str(refused.value)[str(refused.value).index('{"format"') :])
    again = DataDirectory.open(data)
    assert again.galleries() == {"demo": path}
    again.close()


def test_a_lost_registry_is_told_both_directories_of_one_name(data: Path) -> None:
    directory = DataDirectory.open(data)
    one, two = published(directory, "demo"), directory.reserve("demo")
    directory.close()
    (data / "registry.json").unlink()
    with pytest.raises(CorruptError) as refused:
        DataDirectory.open(data)
    assert f'"{one.name}": "{one.name}"' in str(refused.value)
    assert f'"{two.name}": "{two.name}"' in str(refused.value)
    assert one.is_dir()
    assert two.is_dir()


def test_a_damaged_registry_of_an_empty_directory_is_refused_too(data: Path) -> None:
    DataDirectory.open(data).close()
    (data / "registry.json").write_bytes(b"x")
    with pytest.raises(CorruptError, match=r"registry\.json is damaged"):
        DataDirectory.open(data)


def test_what_was_left_of_a_snapshot_is_removed(data: Path) -> None:
    DataDirectory.open(data).close()
    (data / "snapshots" / ".0123").mkdir()
    (data / "snapshots" / "demo-1").mkdir()
    DataDirectory.open(data).close()
    assert [path.name for path in (data / "snapshots").iterdir()] == ["demo-1"]


def test_a_file_cannot_be_a_data_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(GalleryError, match="cannot be a data directory"):
            DataDirectory.open(path)
