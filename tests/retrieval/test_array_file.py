import os
from pathlib import Path

import numpy as np
import pytest

from retrieval.array_file import read_arrays, write_arrays
from retrieval.errors import CorruptGraphError

ARRAYS = {
    "whole": np.arange(7, dtype=np.int64),
    "parts": np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4),
    "flags": np.array([[True], [False]]),
    "nothing": np.zeros((0, 5), np.float32),
}


def test_what_was_written_is_read_and_can_be_changed(tmp_path):
    write_arrays(tmp_path / "file", {"k1": 20, "name": "gallery"}, ARRAYS)
    facts, arrays = read_arrays(tmp_path / "file")
    assert facts == {"k1": 20, "name": "gallery"}
    assert list(arrays) == list(ARRAYS)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, ARRAYS[name])
        assert array.dtype == ARRAYS[name].dtype
        assert array.flags.writeable


def test_strided_arrays_are_written_as_they_read(tmp_path):
    strided = np.arange(24).reshape(4, 6)[::2, ::3]
    write_arrays(tmp_path / "file", {}, {"strided": strided})
    np.testing.assert_array_equal(read_arrays(tmp_path / "file")[1]["strided"], strided)


def test_the_bytes_are_on_the_disk_before_the_name_is_and_the_name_before_the_call_returns(tmp_path, monkeypatch):
    happened = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle):
        happened.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")  # noqa: PTH112
        fsync(handle)

    def noted_replace(self, target):
        happened.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_arrays(tmp_path / "file", {}, ARRAYS)
    assert happened == ["file", "rename", "folder"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_arrays(tmp_path / "file", {"version": 1}, ARRAYS)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_arrays(tmp_path / "file", {"version": 2}, ARRAYS)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert read_arrays(tmp_path / "file")[0] == {"version": 1}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 something else altogether", b"vantage arrays 1" + b"\xff" * 40])
def test_another_kind_of_file_is_refused_in_a_sentence(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CorruptGraphError, match="rebuild it from the vectors"):
        read_arrays(tmp_path / "file")
