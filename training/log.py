"""What a run did, for programs: one JSON line an event, and the same numbers as TensorBoard curves."""

import json
import time
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from models import write_durably


class RunLog:
    """Appends lines {"event": "step" | "validation" | "epoch", "epoch": .., "step": .., "seconds": .., ...}.

    step: steps done. seconds: since this process began to write; a run that was resumed starts again from 0.
    """

    def __init__(self, file: Path, curves: Path, step: int) -> None:
        """step: where the run goes on. What was logged after it was lost with the process that logged it."""
        if file.exists():
            write_durably(file, "".join(f"{line}\n" for line in _lines_until(file, step)).encode())
        self._file = file.open("a", encoding="utf-8", buffering=1)
        self._curves = SummaryWriter(str(curves), purge_step=step + 1)
        self._began = time.monotonic()

    def write(self, event: str, epoch: int, step: int, facts: dict[str, Any]) -> None:
        """facts: numbers, or tables of numbers by name."""
        seconds = round(time.monotonic() - self._began, 3)
        line = {"event": event, "epoch": epoch, "step": step, "seconds": seconds} | facts
        self._file.write(json.dumps(line) + "\n")
        for name, value in facts.items():
            for key, number in value.items() if isinstance(value, dict) else ((None, value),):
                self._curves.add_scalar("/".join(filter(None, (event, name, key))), number, step)

    def close(self) -> None:
        self._file.close()
        self._curves.close()


def _lines_until(file: Path, step: int) -> list[str]:
    kept = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            facts = json.loads(line)
        except json.JSONDecodeError:  # the process was killed while it wrote this line
            continue
        if facts["step"] <= step:
            kept.append(line)
    return kept
