"""The folder of a run: what lies in it, and whether a new run may use it.

last.pt          where to go on (`Checkpoint`)
best.pt          the network with the best validation so far, or the latest: `keep` of the recipe (`TrainedNetwork`)
run.json         what the run is of, for people
log.jsonl        one line a step interval, validation and epoch
tensorboard/     the same as curves
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import write_durably
from training.fit_errors import RunError
from training.trained import BEST_FILE


@dataclass(frozen=True, slots=True)
class RunFolder:
    path: Path

    @property
    def last(self) -> Path:
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        return self.path / BEST_FILE

    @property
    def facts(self) -> Path:
        return self.path / "run.json"

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    def prepare(self, resume: bool) -> bool:
        """Make it, and say whether there is a checkpoint to go on from. A run that is there is never overwritten."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"the run cannot be kept in {self.path}: {error.strerror}") from error
        if resume:
            return self.last.exists()
        if self.facts.exists() or self.last.exists():
            raise RunError(f"{self.path} already holds a run: add --resume to go on with it, or choose another --out")
        if any(self.path.iterdir()):
            raise RunError(f"{self.path} is not empty and holds no run: choose a new folder for --out")
        return False

    def describe(self, facts: dict[str, Any]) -> None:
        write_durably(self.facts, (json.dumps(facts, indent=2) + "\n").encode())
