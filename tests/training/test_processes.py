import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from training.checkpoint import read_checkpoint
from training.fit_errors import DeviceError
from training.processes import chosen_device
from training.recipe import Recipe

WORKER = Path(__file__).with_name("fit_worker.py")


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device("auto").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert chosen_device("auto") == torch.device("cuda", 0)
    assert chosen_device("cuda", local=1) == torch.device("cuda", 1)
    assert chosen_device("cpu").type == "cpu"
    with pytest.raises(DeviceError, match="process 2 of this machine has no GPU of its own, there are 2"):
        chosen_device("cuda", local=2)


def test_a_gpu_that_is_asked_for_and_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"device cuda cannot be used: .*--device cpu"):
        chosen_device("cuda")
    with pytest.raises(DeviceError, match="device is 'gpu': choose one of auto, cpu, cuda"):
        chosen_device("gpu")  # type: ignore[arg-type]


def test_two_processes_under_torchrun_train_one_network_and_the_first_one_writes(
    small_data: str, small_recipe: Recipe, tmp_path: Path, cache_location: Path
) -> None:
    """Some ten seconds: three processes import torch."""
    (tmp_path / "recipe.json").write_text(json.dumps(asdict(small_recipe)))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, str(WORKER), small_data, str(tmp_path / "recipe.json"), str(tmp_path / "run")]
    settings = {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    environment = os.environ | settings | {"VANTAGE_CACHE": str(cache_location)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epochs done") == 1
    assert "3 steps an epoch on cpu x 2" in done.stdout
    checkpoint = read_checkpoint(tmp_path / "run" / "last.pt")
    assert checkpoint.sampler["epoch"] == 4
    assert len(checkpoint.random) == 2
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert len([line for line in lines if '"step"' in line and json.loads(line)["event"] == "epoch"]) == 4
