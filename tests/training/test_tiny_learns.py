"""The recipe `tiny` at a quarter of its pixels and half of its steps. It really trains: 15 seconds of one core."""

from dataclasses import replace
from pathlib import Path

import pytest

from training.fit import fit
from training.recipe_reading import read_recipe


@pytest.mark.usefixtures("one_cpu_thread")
def test_tiny_finds_people_it_never_saw_far_better_than_the_untrained_network(tmp_path: Path) -> None:
    tiny = read_recipe("tiny")
    reduced = replace(
        tiny,
        network=replace(tiny.network, height=64, width=32),
        augmentation=replace(tiny.augmentation, pad=3),
        optimiser=replace(tiny.optimiser, lr=5e-3),  # half the steps, each one longer
        schedule=replace(tiny.schedule, epochs=14, warmup=1),
        run=replace(tiny.run, ema=0.95, validate_every=14),
    )
    data = "synthetic:people=24,cameras=4,passes=1,crops_per_pass=3,train_fraction=1,size=64x32"
    scores = fit(data, reduced, tmp_path / "run", device="cpu").scores
    assert scores.best_epoch == 14
    assert scores.best - scores.untrained >= 0.2
