"""What a run shows while it goes: a live bar on a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from training.validation import Score


@dataclass(frozen=True, slots=True)
class StepReport:
    """epoch: counted from 1. step, steps: done, and to do in all. parts: means of the loss's parts.
    images_per_second: over all processes."""

    epoch: int
    epochs: int
    step: int
    steps: int
    parts: Mapping[str, float]
    learning_rate: float
    images_per_second: float
    seconds_left: float

    @property
    def loss(self) -> float:
        return sum(self.parts.values())

    def loggable(self) -> dict[str, Any]:
        return {
            "loss": self.loss,
            "parts": dict(self.parts),
            "learning_rate": self.learning_rate,
            "images_per_second": round(self.images_per_second, 1),
        }

    def __str__(self) -> str:
        parts = " + ".join(f"{name} {value:.3f}" for name, value in self.parts.items())
        left = timedelta(seconds=round(self.seconds_left))
        return (
            f"epoch {self.epoch}/{self.epochs}  loss {self.loss:.3f} = {parts}  "
            f"{self.images_per_second:.0f} images/s  {left} left"
        )


class Reporter:
    """What the trainer tells; this one keeps it to itself, for programs and for processes beside the first."""

    def stepped(self, report: StepReport) -> None:
        """Some steps were done; the means are over them."""

    def epoch_done(self, report: StepReport) -> None:
        """The means are over the epoch."""

    def validated(self, epoch: int, score: Score, best: bool) -> None:
        """epoch: done so far; 0 is the untrained network."""

    def noted(self, sentence: str) -> None:
        """Something that the user should know."""

    def close(self) -> None:
        """Nothing more will come."""


class LineReporter(Reporter):
    """One line an epoch and one a validation, for files and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def epoch_done(self, report: StepReport) -> None:
        self.noted(str(report))

    def validated(self, epoch: int, score: Score, best: bool) -> None:
        self.noted(_validated(epoch, score, best))

    def noted(self, sentence: str) -> None:
        self.console.print(sentence, markup=False, highlight=False, soft_wrap=True)


class BarReporter(LineReporter):
    """A bar that moves, with the validations left standing above it."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._score = ""
        self._bar = Progress(
            TextColumn("{task.percentage:>3.0f}%"),
            BarColumn(24),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

    def stepped(self, report: StepReport) -> None:
        self._bar.start()  # does nothing once it runs
        self._bar.update(self._task, total=report.steps, completed=report.step, description=f"{report}{self._score}")

    def epoch_done(self, report: StepReport) -> None:
        self.stepped(report)

    def validated(self, epoch: int, score: Score, best: bool) -> None:
        self._score = f"  mAP {score.map:.1%}"
        super().validated(epoch, score, best)

    def close(self) -> None:
        self._bar.stop()


def console_reporter(console: Console) -> Reporter:
    return BarReporter(console) if console.is_terminal else LineReporter(console)


def _validated(epoch: int, score: Score, best: bool) -> str:
    after = f"after epoch {epoch}" if epoch else "untrained"
    return f"{after}: held-out mAP {score.map:.1%}, rank-1 {score.rank1:.1%}{', the best so far' if best else ''}"
