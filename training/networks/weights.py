"""Weights from a file into a network, with nothing silently left at random values."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from training.networks.errors import WeightsError

Weights = Path | Literal["published"] | None
"""Where a backbone starts: a file, the weights that its authors published, or random values."""

_SHOWN = 3
_NESTS = ("state_dict", "model", "network")
_WRAPPER = "module."
_BACKBONE = "backbone."


def read_state(path: Path) -> dict[str, Tensor]:
    """The named tensors of a `.safetensors` file or of a torch file, on the CPU.

    A torch file may hold them under `state_dict`, `model` or `network`; the prefix `module.` of data-parallel
    training is taken off; of a whole re-identification network only the backbone is kept.
    """
    if not path.is_file():
        raise WeightsError(f"the weights file {path} does not exist: give the path of a .pth or .safetensors file")
    try:
        if path.suffix == ".safetensors":
            content: object = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError, SafetensorError) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise WeightsError(
            f"{path} cannot be read as weights ({reason}): give a .safetensors file, or a torch file of tensors only"
        ) from error
    for nest in _NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not named tensors: save a state_dict() instead")
    state = {str(name).removeprefix(_WRAPPER): value for name, value in content.items() if isinstance(value, Tensor)}
    if any(name.startswith(_BACKBONE) for name in state):
        state = {name.removeprefix(_BACKBONE): value for name, value in state.items() if name.startswith(_BACKBONE)}
    if not state:
        raise WeightsError(f"{path} holds no tensors: save a network's state_dict() into it")
    return state


def load_state(module: nn.Module, state: Mapping[str, Tensor], *, source: Path, classifiers: Sequence[str]) -> None:
    """Load `state` into `module`; every tensor must be there and fit, but those of `classifiers` are left out.

    classifiers: name prefixes of the file's own classifier ("fc"), which counts other people's classes.
    """
    wanted = module.state_dict()
    offered = {name: value for name, value in state.items() if not _belongs_to(name, classifiers)}
    misfits = [
        f"{name} is {tuple(value.shape)} where {tuple(wanted[name].shape)} is needed"
        for name, value in offered.items()
        if name in wanted and value.shape != wanted[name].shape
    ]
    # Batch counters are absent from files older than the counters, and nothing reads them.
    missing = [name for name in wanted if name not in offered and not name.endswith("num_batches_tracked")]
    foreign = [name for name in offered if name not in wanted]
    complaints = [
        f"{title} {_first_few(names)}"
        for title, names in (("of another shape:", misfits), ("missing:", missing), ("not of this network:", foreign))
        if names
    ]
    if complaints:
        raise WeightsError(
            f"{source} does not fit the backbone ({'; '.join(complaints)}): give the weights of the same backbone"
        )
    module.load_state_dict(offered, strict=False)


def _belongs_to(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _first_few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
