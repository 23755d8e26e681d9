"""The loop: batches in, a better network out, and at any moment a state from which to go on."""

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.checkpoint import Checkpoint, versions
from training.data import IdentitySampler, Split
from training.data.augmentation import augment
from training.ema import WeightAverage
from training.feeding import CropFeed
from training.fit_errors import NonFiniteLossError
from training.loss_building import Task, freeze_unused
from training.losses import total
from training.means import Means
from training.networks import PixelNormalisation, ReidNetwork
from training.optimiser import build_optimiser, clip_gradients, clipped_parameters, set_learning_rate
from training.processes import Processes
from training.progress import StepReport
from training.random_state import mixed_seed, random_state, restore_random_state, seed_everything
from training.recipe import Recipe
from training.schedule import learning_rate_share

_SECONDS = "seconds"


class Trainer:
    """One step at a time, on this process's share of the batches.

    network: what learns. average: its moving average, which is validated and kept.
    step: steps done. epoch: whole epochs done.
    """

    def __init__(
        self,
        recipe: Recipe,
        task: Task,
        train: Split,
        rows: NDArray[np.int64],
        feed: CropFeed,
        *,
        seed: int,
        processes: Processes,
    ) -> None:
        """rows: int64 (len(train),), where the crops of `train` lie in the feed."""
        self.recipe, self.seed, self.processes = recipe, seed, processes
        device = processes.device
        seed_everything(seed, "network")
        network = ReidNetwork(task.settings, recipe.network.start)
        freeze_unused(network, recipe.loss)
        # Channels last, also on a CPU: half the time there for networks of many small convolutions.
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if processes.world > 1 and device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self.network: ReidNetwork = network.train()
        self.average = WeightAverage(self.network, recipe.run.ema)
        self.objective = task.objective.to(device)
        self.optimiser = build_optimiser(self.network, recipe.optimiser)
        self._clipped = clipped_parameters(self.network)
        self._model = self._wrapped()
        batch = recipe.batch
        self.sampler = IdentitySampler(
            train.labels, batch.people, batch.pictures, seed=seed, rank=processes.rank, world=processes.world
        )
        self._train, self._rows, self._feed = train, rows, feed
        self._persons = torch.from_numpy(train.labels).to(device)
        self._views = torch.from_numpy(train.views).to(device)
        self._view_classes = task.view_classes if recipe.network.head == "hypersphere" else None
        self._normalise = PixelNormalisation(self.network.mean, self.network.std).to(device)
        self._chance = torch.Generator(device)
        self._bfloat16 = _uses_bfloat16(recipe, device)
        self.interval, self.sums = Means(), Means()  # since the last report, and of this epoch
        # From here on processes draw different numbers (dropout); that their networks are equal at first is DDP's work.
        seed_everything(seed, "steps", processes.rank)

    def _wrapped(self) -> nn.Module:
        model: nn.Module = self.network
        if self.recipe.run.compile:
            model = torch.compile(model)  # type: ignore[assignment]  # it is a Module
        if self.processes.world > 1:
            cuda = self.processes.device.type == "cuda"
            model = DistributedDataParallel(model, device_ids=[self.processes.device] if cuda else None)
        return model

    @property
    def steps_per_epoch(self) -> int:
        return len(self.sampler) * self.recipe.batch.passes

    @property
    def step(self) -> int:
        state = self.sampler.state_dict()
        return int(state["epoch"]) * len(self.sampler) + int(state["next"])

    @property
    def epoch(self) -> int:
        return self.step // self.steps_per_epoch

    @property
    def images(self) -> int:
        """In a batch of all processes."""
        return self.recipe.batch.people * self.recipe.batch.pictures

    def train_step(self, places: NDArray[np.int64], stop: bool, last_good: Path | None) -> bool:
        """Learn from the pictures at these places. stop: whether this process was asked to stop; returns whether any
        process was. last_good: the checkpoint to name if the loss is no number."""
        began = time.perf_counter()
        done = self.step - 1  # the sampler moved on as it handed out the batch
        epoch = done // self.steps_per_epoch + 1
        crops = self._augmented(self._feed.rows(self._rows[places]), done)
        at = torch.from_numpy(places).to(self.processes.device)
        persons, views = self._persons[at], self._views[at]
        set_learning_rate(self.optimiser, self._learning_rate(done))
        with torch.autocast(crops.device.type, torch.bfloat16, enabled=self._bfloat16):
            output = self._model(crops, persons, self._margin_classes(persons, views))
        parts = self.objective(output, self.network, persons, views, epoch)
        loss = total(parts)
        self.optimiser.zero_grad()
        reading = _Reading(self.processes, stop, torch.stack([loss, *parts.values()]))
        loss.backward()  # type: ignore[no-untyped-call]
        stop, values = reading.wait()
        if not all(map(math.isfinite, values)):
            raise NonFiniteLossError(
                self._sentence(done + 1, places, dict(zip(parts, values[1:], strict=True)), last_good)
            )
        clip_gradients(self._clipped, self.recipe.optimiser.clip)
        self.optimiser.step()
        self.average.update()
        seen = dict(zip(parts, values[1:], strict=True)) | {_SECONDS: time.perf_counter() - began}
        for means in (self.interval, self.sums):
            means.add(seen)
        return stop

    def report(self, means: Means) -> StepReport:
        """Of what `interval` or `sums` has collected, which starts again."""
        parts = means.take()
        speed = self.images / parts.pop(_SECONDS)
        steps = self.steps_per_epoch * self.recipe.schedule.epochs
        return StepReport(
            epoch=(self.step - 1) // self.steps_per_epoch + 1,
            epochs=self.recipe.schedule.epochs,
            step=self.step,
            steps=steps,
            parts=parts,
            learning_rate=self._learning_rate(self.step - 1),
            images_per_second=speed,
            seconds_left=(steps - self.step) * self.images / speed,
        )

    def require_finite_weights(self) -> None:
        """A finite loss can have a gradient that is not; what came of it must neither be judged nor kept."""
        if not all(bool(value.isfinite().all()) for value in self.network.parameters()):
            raise NonFiniteLossError(
                f"the network's weights are no numbers any more after step {self.step}, although the loss was: the "
                "gradient overflowed; lower the learning rate, or set clip in [optimiser]"
            )

    def checkpoint(self, data: dict[str, Any], scores: dict[str, Any]) -> Checkpoint:
        """All processes must call it. data, scores: see `Checkpoint`."""
        self.require_finite_weights()
        return Checkpoint(
            network=self.network.state_dict(),
            average={"network": self.average.network.state_dict(), "updates": self.average.updates},
            optimiser=self.optimiser.state_dict(),
            objective=self.objective.state_dict(),
            sampler=self.sampler.state_dict(),
            random=self.processes.gathered(random_state()),
            recipe=asdict(self.recipe),
            seed=self.seed,
            data=data,
            versions=versions(),
            scores=scores,
            sums=self.sums.state_dict(),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on where the other trainer stood, which had the same recipe, data and seed."""
        self.network.load_state_dict(checkpoint.network)
        self.average.network.load_state_dict(checkpoint.average["network"])
        self.average.updates = checkpoint.average["updates"]
        self.optimiser.load_state_dict(checkpoint.optimiser)
        self.objective.load_state_dict(checkpoint.objective)
        self.sampler.load_state_dict(checkpoint.sampler)
        self.sums.load_state_dict(checkpoint.sums)
        if len(checkpoint.random) == self.processes.world:
            restore_random_state(checkpoint.random[self.processes.rank])

    def _augmented(self, crops: Tensor, step: int) -> Tensor:
        """Normalised float32 (N, 3, H, W). What chance does to a batch depends on seed, step and process alone."""
        self._chance.manual_seed(mixed_seed(self.seed, "augmentation", step, self.processes.rank))
        changed = augment(crops, self.recipe.augmentation, self._chance, self.network.mean)
        normalised: Tensor = self._normalise(changed)
        return normalised.contiguous(memory_format=torch.channels_last)

    def _margin_classes(self, persons: Tensor, views: Tensor) -> Tensor | None:
        """The classes whose margin the hypersphere head widens; unknown views get any, for L_v leaves them out."""
        if self._view_classes is None:
            return None
        return self._view_classes.classes(persons, views).clamp(min=0)

    def _learning_rate(self, step: int) -> float:
        return self.recipe.optimiser.lr * learning_rate_share(self.recipe.schedule, step / self.steps_per_epoch)

    def _sentence(self, step: int, places: NDArray[np.int64], parts: dict[str, float], last_good: Path | None) -> str:
        names = [picture.name for picture in self._train.take(places)]
        values = ", ".join(f"{name} {value}" for name, value in parts.items())
        checkpoint = "there is no checkpoint yet" if last_good is None else f"the last good checkpoint is {last_good}"
        return (
            f"the loss is no number at step {step} ({values}); {checkpoint}; the batch's files are "
            f"{', '.join(names)}. Look at these files, lower the learning rate, or set clip in [optimiser]"
        )


class _Reading:
    """Numbers on their way from the device, which goes on computing meanwhile."""

    def __init__(self, processes: Processes, stop: bool, values: Tensor) -> None:
        flag = torch.tensor([float(stop)], device=values.device)
        read = torch.cat([processes.largest(flag), values.detach()])
        self._values = read.to("cpu", non_blocking=True)
        self._copied = torch.cuda.Event() if read.is_cuda else None  # type: ignore[no-untyped-call]
        if self._copied is not None:
            self._copied.record()

    def wait(self) -> tuple[bool, list[float]]:
        """Whether any process was asked to stop, and the values."""
        if self._copied is not None:
            self._copied.synchronize()
        stop, *values = self._values.tolist()
        return bool(stop), values


def _uses_bfloat16(recipe: Recipe, device: torch.device) -> bool:
    if recipe.run.precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return recipe.run.precision == "bfloat16"
