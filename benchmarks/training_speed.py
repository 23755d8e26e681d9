"""What does `fit` cost beyond the training itself?    .venv/bin/python benchmarks/training_speed.py [--quick]

Images a second of `fit` (sampler, crops, augmentation, losses, average of weights, checks, log, checkpoints) beside a
bare loop with the same network, optimiser, precision and batch size, on one random batch with plain cross-entropy. The
two take turns, an epoch each, in one process, so that a noisy machine troubles both alike; the first turn warms up.
The goal is a ratio of 0.90. Give --recipe va and a larger --data on a GPU; the default is for a CPU.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch.nn.functional import cross_entropy

from training.fit import fit
from training.networks import ReidNetwork
from training.optimiser import build_optimiser
from training.processes import chosen_device
from training.progress import Reporter, StepReport
from training.recipe import Recipe
from training.recipe_reading import read_recipe

console = Console(width=130)
PEOPLE, VIEW_CLASSES = 100, 300  # the bare network's; heads of any likely size cost nothing beside the backbone


class BareLoop:
    """What has to be done in any case."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        settings = recipe.network.settings(PEOPLE, VIEW_CLASSES, viewpoint_classifier=False)
        network = ReidNetwork(settings).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network: ReidNetwork = network.train()
        self.optimiser = build_optimiser(self.network, recipe.optimiser)
        self.images = recipe.batch.people * recipe.batch.pictures
        batch = torch.randn(self.images, 3, settings.height, settings.width, device=device)
        self.batch = batch.contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(PEOPLE, (self.images,), device=device)
        self.device = device

    def run(self, steps: int) -> float:
        """Images a second."""
        began = time.perf_counter()
        for _ in range(steps):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
                output = self.network(self.batch)
            loss = sum(cross_entropy(logits, self.labels) for logits in output.part_id_logits)
            assert output.view_logits is not None
            loss = loss + cross_entropy(output.view_logits, self.labels)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return steps * self.images / (time.perf_counter() - began)


class TakingTurns(Reporter):
    """After every epoch of `fit`, as many steps of the bare loop."""

    def __init__(self, bare: BareLoop) -> None:
        self.bare = bare
        self.speeds: list[tuple[float, float]] = []
        self._step, self._since = 0, 0.0

    def epoch_done(self, report: StepReport) -> None:
        steps = report.step - self._step
        fitted = steps * self.bare.images / (time.perf_counter() - self._since)
        self.speeds.append((fitted, self.bare.run(steps)))
        console.print(
            f"  turn {len(self.speeds)}: fit {self.speeds[-1][0]:,.0f}, bare {self.speeds[-1][1]:,.0f} images/s"
        )
        self._step, self._since = report.step, time.perf_counter()


def measure(recipe: Recipe, data: str, turns: int) -> None:
    device = chosen_device("auto")
    recipe = replace(
        recipe,
        schedule=replace(recipe.schedule, epochs=turns + 1),
        run=replace(recipe.run, validate_every=turns + 1, checkpoint_every=1, compile=False),
    )
    turn = TakingTurns(BareLoop(recipe, device))
    with tempfile.TemporaryDirectory() as folder:
        fit(data, recipe, Path(folder) / "run", reporter=turn)
    fitted, bare = np.median(np.array(turn.speeds[1:]), axis=0)
    ratio = float(np.median([one / other for one, other in turn.speeds[1:]]))
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    console.print(
        f"{recipe.name}, {recipe.network.backbone} {recipe.network.height} x {recipe.network.width}, batch "
        f"{turn.bare.images}, on {device}{threads}; medians of {turns} turns\n"
        f"  fit {fitted:,.0f} images/s, bare loop {bare:,.0f} images/s; fit / bare of the same turn: {ratio:.2f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="tiny")
    parser.add_argument("--data", default="synthetic:people=30,cameras=4,train_fraction=1")
    parser.add_argument("--quick", action="store_true", help="three turns instead of nine")
    arguments = parser.parse_args()
    measure(read_recipe(arguments.recipe), arguments.data, 3 if arguments.quick else 9)
