"""On what device, and as which of how many processes, a run goes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, distributed

from training.fit_errors import DeviceError

DeviceChoice: TypeAlias = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those of the run. device: where it computes."""

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def largest(self, flags: Tensor) -> Tensor:
        """The elementwise maximum over all processes, in place."""
        if self.world > 1:
            distributed.all_reduce(flags, distributed.ReduceOp.MAX)
        return flags

    def gathered(self, value: object) -> list[object]:
        """What every process brings, in the order of the ranks."""
        if self.world == 1:
            return [value]
        everything: list[object] = [None] * self.world
        distributed.all_gather_object(everything, value)
        return everything


@contextmanager
def joined(choice: DeviceChoice) -> Iterator[Processes]:
    """Join the processes that `torchrun` started, one device each; started otherwise, be the only one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = chosen_device(choice, local)
    if world == 1:
        yield Processes(device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo", device_id=device if device.type == "cuda" else None
    )
    try:
        yield Processes(device, distributed.get_rank(), world)
    finally:
        distributed.destroy_process_group()


def chosen_device(choice: DeviceChoice, local: int = 0) -> torch.device:
    """The device that was asked for, or a sentence; only "auto" may end on the CPU. local: which GPU of the machine."""
    if choice not in get_args(DeviceChoice):
        raise DeviceError(f"device is {choice!r}: choose one of {', '.join(get_args(DeviceChoice))}")
    available = torch.cuda.is_available()
    if choice == "cpu" or (choice == "auto" and not available):
        return torch.device("cpu")
    if not available:
        build = torch.version.cuda
        reason = "this torch is built without CUDA" if build is None else f"torch (CUDA {build}) sees no GPU"
        raise DeviceError(f"device cuda cannot be used: {reason}; see what nvidia-smi says, or take --device cpu")
    if local >= torch.cuda.device_count():
        raise DeviceError(
            f"process {local} of this machine has no GPU of its own, there are {torch.cuda.device_count()}: start as "
            "many processes as there are GPUs"
        )
    return torch.device("cuda", local)
