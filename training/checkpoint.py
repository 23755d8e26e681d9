"""Everything that a run needs to go on as if it had never stopped, in one file that is replaced by rename.

Only plain values and tensors are written, so it is read without running anything that the file might contain.
"""

import io
import pickle
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from models import write_durably
from training.fit_errors import CheckpointError

_FORMAT = 1  # of these files; raised when a new one would be misread


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """network, average, optimiser, objective, sampler: their state_dicts (that of the average has its updates too).
    random: the state of all generators, one entry a process.
    recipe, seed, data: what the run is of; `data` holds facts of the dataset and a digest of its labels.
    versions: of the software that wrote it. scores: see `Scoreboard`. sums: of the epoch that is under way.
    """

    network: dict[str, Any]
    average: dict[str, Any]
    optimiser: dict[str, Any]
    objective: dict[str, Any]
    sampler: dict[str, Any]
    random: list[Any]
    recipe: dict[str, Any]
    seed: int
    data: dict[str, Any]
    versions: dict[str, str]
    scores: dict[str, Any]
    sums: dict[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    write_tensors(path, {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)})


def read_checkpoint(path: Path) -> Checkpoint:
    """Tensors are on the CPU, whatever device they were on."""
    content = read_tensors(path, {field.name for field in fields(Checkpoint)})
    return Checkpoint(**content)


def write_tensors(path: Path, content: dict[str, Any]) -> None:
    """A file of tensors and plain values, whole or not at all."""
    buffer = io.BytesIO()
    torch.save({"format": _FORMAT} | content, buffer)
    try:
        write_durably(path, buffer.getvalue())
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written: {error.strerror}; what was there before is whole: make room and --resume"
        ) from error


def read_tensors(path: Path, keys: set[str]) -> dict[str, Any]:
    """What `write_tensors` wrote, once it is known to hold the `keys`."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no file {path}: give the folder of a run of vantage-train fit") from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} cannot be read ({reason}): it is damaged or none of vantage-train's") from error
    if not isinstance(content, dict) or content.pop("format", None) != _FORMAT or set(content) != keys:
        raise CheckpointError(f"{path} is not a file of this version of vantage-train: use the version that wrote it")
    return content


def versions() -> dict[str, str]:
    """The software that decides what comes out of a run."""
    return {name: version(name) for name in ("torch", "numpy", "pillow")}
