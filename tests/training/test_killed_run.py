"""A run in a process of its own, killed in the middle, goes on as if nothing had happened. It takes seconds."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from training.checkpoint import read_checkpoint
from training.fit import fit
from training.recipe import Recipe

WORKER = Path(__file__).with_name("fit_worker.py")


@pytest.mark.usefixtures("one_cpu_thread")
def test_a_killed_run_that_is_resumed_ends_in_the_bits_of_one_that_was_not(
    small_data: str, small_recipe: Recipe, tmp_path: Path
) -> None:
    # Ten epochs, a checkpoint every second one, and a kill in the sixth: steps that no checkpoint has are lost.
    recipe = replace(
        small_recipe,
        schedule=replace(small_recipe.schedule, epochs=10),
        run=replace(small_recipe.run, validate_every=4, checkpoint_every=2),
    )
    (tmp_path / "recipe.json").write_text(json.dumps(asdict(recipe)))
    command = [sys.executable, str(WORKER), small_data, str(tmp_path / "recipe.json"), str(tmp_path / "killed")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("epoch 5/10"):
                child.send_signal(signal.SIGKILL)
                break
    assert child.returncode == -signal.SIGKILL
    assert 4 <= read_checkpoint(tmp_path / "killed" / "last.pt").sampler["epoch"] < 10

    fit(small_data, recipe, tmp_path / "whole", device="cpu")
    fit(small_data, recipe, tmp_path / "killed", device="cpu", resume=True)
    whole, killed = (read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "killed"))
    assert whole.scores == killed.scores
    for weights in ("network", "average"):
        one, other = (getattr(end, weights) for end in (whole, killed))
        if weights == "average":
            one, other = one["network"], other["network"]
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
    one, other = (end.optimiser["state"] for end in (whole, killed))
    assert all(torch.equal(one[at][key], other[at][key]) for at in one for key in one[at])
