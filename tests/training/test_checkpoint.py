import random
from pathlib import Path

import numpy as np
import pytest
import torch

from training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from training.fit_errors import CheckpointError
from training.random_state import mixed_seed, random_state, restore_random_state, seed_everything


def a_checkpoint(seed: int = 3) -> Checkpoint:
    tensors = {"weight": torch.arange(6.0).view(2, 3)}
    nothing: dict[str, object] = {}
    return Checkpoint(
        tensors, tensors, nothing, nothing, nothing, [random_state()], nothing, seed, nothing, {}, nothing, nothing
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "last.pt", a_checkpoint())
    back = read_checkpoint(tmp_path / "last.pt")
    assert torch.equal(back.network["weight"], torch.arange(6.0).view(2, 3))
    assert back.seed == 3


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path / "last.pt", a_checkpoint(1))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CheckpointError, match="cannot be written: No space"):
        write_checkpoint(tmp_path / "last.pt", a_checkpoint(2))
    monkeypatch.undo()
    assert read_checkpoint(tmp_path / "last.pt").seed == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_a_damaged_or_foreign_file_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    with pytest.raises(CheckpointError, match="there is no file"):
        read_checkpoint(path)
    write_checkpoint(path, a_checkpoint())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"cannot be read .*damaged"):
        read_checkpoint(path)
    torch.save({"model": {}}, path)
    with pytest.raises(CheckpointError, match="not a file of this version"):
        read_checkpoint(path)


def test_a_checkpoint_that_wants_to_run_something_is_refused(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "ran"),)  # type: ignore[return-value]

    torch.save({"format": 1, "network": Runs()}, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "last.pt")
    assert not (tmp_path / "ran").exists()


def test_every_generator_goes_on_where_it_stood_also_through_a_file(tmp_path: Path) -> None:
    def draws() -> list[float]:
        return [random.random(), float(np.random.rand()), float(np.random.randn()), torch.rand(1).item()]

    seed_everything(1)
    np.random.randn()  # keeps a second number in store
    write_checkpoint(tmp_path / "last.pt", a_checkpoint())
    expected = draws()
    draws()
    restore_random_state(read_checkpoint(tmp_path / "last.pt").random[0])
    assert draws() == expected


def test_mixed_seeds_differ_by_every_part_and_fit_a_generator() -> None:
    seeds = {mixed_seed(seed, step, rank) for seed in range(5) for step in range(5) for rank in range(5)}
    assert len(seeds) == 125
    torch.Generator().manual_seed(max(seeds))
