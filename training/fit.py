"""A whole run: data, held-out people, trainer, validation, checkpoints and log brought together."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from training.checkpoint import Checkpoint, read_checkpoint, versions, write_checkpoint
from training.data import hold_out, load_dataset, open_cache
from training.feeding import CropFeed
from training.log import RunLog
from training.loss_building import build_task
from training.processes import DeviceChoice, Processes, joined
from training.progress import Reporter
from training.recipe import Recipe
from training.run_folder import RunFolder
from training.run_identity import data_facts, require_same_run
from training.scoreboard import Scoreboard
from training.stopping import StopRequest, stop_on_signals
from training.trained import TrainedNetwork, write_trained
from training.trainer import Trainer
from training.validation import Validation

HOLD_OUT_SEED = 0  # not the run's: runs with several seeds are judged by the same people


@dataclass(frozen=True, slots=True)
class FitResult:
    """folder: the run's. epochs: done. stopped_by: the exit code of a run that a signal ended; 0 if it is finished."""

    folder: Path
    epochs: int
    scores: Scoreboard
    stopped_by: int = 0

    def __str__(self) -> str:
        scores = self.scores
        best = f"best held-out mAP {scores.best:.1%} after epoch {scores.best_epoch} (untrained {scores.untrained:.1%})"
        if self.stopped_by:
            return f"stopped and saved in epoch {self.epochs + 1}; {best}; go on with --resume"
        return f"{self.folder}: {self.epochs} epochs done; {best}"


def fit(
    data: str,
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    seed: int = 0,
    device: DeviceChoice = "auto",
    threads: int | None = None,
    reporter: Reporter | None = None,
) -> FitResult:
    """Train `recipe` on the dataset that the spec `data` names, into the folder `out`.

    resume: go on from the folder's checkpoint, or begin where there is none. threads: of torch on the CPU; None leaves
    the number to it. With one thread a run that was stopped and resumed ends in the same bits as one that was not.
    Under `torchrun` every process calls this; the first writes and reports.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True  # batches are all of one shape
    with joined(device) as processes:
        told = reporter if reporter is not None and processes.leads else Reporter()
        folder = RunFolder(out)
        goes_on = processes.gathered(folder.prepare(resume) if processes.leads else False)[0]
        try:
            run = _Run(data, recipe, folder, seed, processes, told, read_checkpoint(folder.last) if goes_on else None)
            with stop_on_signals() as request:
                return run.go(request)
        finally:
            told.close()


class _Run:
    def __init__(
        self,
        data: str,
        recipe: Recipe,
        folder: RunFolder,
        seed: int,
        processes: Processes,
        reporter: Reporter,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.recipe, self.folder, self.processes, self.reporter = recipe, folder, processes, reporter
        dataset = load_dataset(data)
        held = hold_out(dataset, recipe.run.hold_out, HOLD_OUT_SEED)
        cache = open_cache(dataset.train, recipe.network.input)
        if cache.skipped:
            reporter.noted(
                f"{len(cache.skipped):,} pictures cannot be read and are left out: {cache.skipped[0].reason}"
            )
        train, rows = cache.select(held.train)
        self.data = {"spec": data, "skipped": len(cache.skipped)} | data_facts(held)
        if checkpoint is not None:
            require_same_run(checkpoint, recipe, seed, self.data, folder.last)
        feed = CropFeed(cache.pixels, processes.device)
        task = build_task(recipe, train)
        self.trainer = Trainer(recipe, task, train, rows, feed, seed=seed, processes=processes)
        self.validation = Validation(feed, cache, held.query, held.gallery)
        self.scores = Scoreboard()
        if checkpoint is not None:
            self.trainer.restore(checkpoint)
            self.scores = Scoreboard.from_dict(checkpoint.scores)
        self.last_good = None if checkpoint is None else folder.last
        self.log: RunLog | None = None
        if processes.leads:
            facts = {"recipe": asdict(recipe), "seed": seed, "data": self.data, "versions": versions()}
            folder.describe(facts | {"device": str(processes.device), "processes": processes.world})
            self.log = RunLog(folder.log, folder.tensorboard, self.trainer.step)
        left_out = self.trainer.sampler.skipped_people
        reporter.noted(
            f"{recipe.name}: {len(train):,} pictures of {len(train.people):,} people, "
            f"{self.trainer.steps_per_epoch:,} steps an epoch on {processes.device}"
            + (f" x {processes.world}" if processes.world > 1 else "")
            + (f"; {left_out:,} people with a single picture take no part" if left_out else "")
            + ("" if task.viewpoint_classifier or not recipe.network.viewpoint_classifier else "; no viewpoints known")
        )

    @property
    def steps(self) -> int:
        return self.trainer.steps_per_epoch * self.recipe.schedule.epochs

    def go(self, request: StopRequest) -> FitResult:
        try:
            return self._go(request)
        finally:
            if self.log is not None:
                self.log.close()

    def _go(self, request: StopRequest) -> FitResult:
        trainer = self.trainer
        if self.scores.latest_epoch < 0:
            self._validate()
            if self.steps == 0:
                self._save()
        while trainer.step < self.steps:
            stop = False
            for places in trainer.sampler:
                stop = trainer.train_step(places, bool(request.signal), self.last_good)
                self._report_step()
                if stop and trainer.step % len(trainer.sampler):
                    return self._stopped(request)
            if trainer.step % trainer.steps_per_epoch == 0:
                self._end_epoch()
            if stop and trainer.step < self.steps:
                return self._stopped(request)
        return self._result()

    def _report_step(self) -> None:
        trainer = self.trainer
        if trainer.step % self.recipe.run.log_every:
            return
        report = trainer.report(trainer.interval)
        self.reporter.stepped(report)
        self._write("step", report.epoch, report.loggable())

    def _end_epoch(self) -> None:
        run, epoch = self.recipe.run, self.trainer.epoch
        self.trainer.require_finite_weights()
        report = self.trainer.report(self.trainer.sums)
        self.reporter.epoch_done(report)
        self._write("epoch", epoch, report.loggable())
        ends = epoch == self.recipe.schedule.epochs
        validates = ends or epoch % run.validate_every == 0
        if validates:
            self._validate()
        if validates or epoch % run.checkpoint_every == 0:
            self._save()

    def _validate(self) -> None:
        """By the first process alone; the others meet it again in their next step."""
        if not self.processes.leads:
            return
        epoch = self.trainer.epoch
        score = self.validation(self.trainer.average.network)
        before, self.scores = self.scores, self.scores.with_score(epoch, score)
        best = self.scores.best > before.best
        self.reporter.validated(epoch, score, best)
        self._write("validation", epoch, {"map": score.map, "rank1": score.rank1})
        if best or self.recipe.run.keep == "last":
            write_trained(
                self.folder.best,
                TrainedNetwork(
                    network=self.trainer.average.network,
                    recipe=self.recipe,
                    seed=self.trainer.seed,
                    epoch=epoch,
                    data=self.data,
                    versions=versions(),
                    validation_map=score.map,
                ),
            )

    def _save(self) -> None:
        checkpoint = self.trainer.checkpoint(self.data, asdict(self.scores))
        if self.processes.leads:
            write_checkpoint(self.folder.last, checkpoint)
        self.last_good = self.folder.last

    def _stopped(self, request: StopRequest) -> FitResult:
        self._save()
        return self._result(request.exit_code)

    def _result(self, stopped_by: int = 0) -> FitResult:
        result = FitResult(self.folder.path, self.trainer.epoch, self.scores, stopped_by)
        self.reporter.noted(str(result))
        return result

    def _write(self, event: str, epoch: int, facts: dict[str, Any]) -> None:
        if self.log is not None:
            self.log.write(event, epoch, self.trainer.step, facts)
