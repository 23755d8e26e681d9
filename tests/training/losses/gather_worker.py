"""One of two processes of a real gloo group, started by `test_gather.py`: python gather_worker.py RANK STORE OUT.

Also run in the test's own process, by path, for the network, the batch and the losses that both sides share.
"""

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from training.losses import (
    BatchHardTripletLoss,
    Loss,
    LossError,
    LossInputs,
    SupportNeighbourLoss,
    ViewClasses,
    ViewpointAwareLoss,
    gather_inputs,
    total,
)

# Each person stands in both halves, so that positives and neighbours lie across the processes, and the halves have
# different numbers of unknown views, so that a mean of the halves' means is not the mean.
PERSONS = [0, 0, 1, 2, 2, 3, 0, 1, 1, 2, 3, 3]
VIEWS = [0, 1, -1, 0, 2, 1, 2, -1, -1, -1, -1, 0]
WORLD = 2


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(5, 6)
        self.neck = nn.Linear(6, 6)
        self.id_head = nn.Linear(6, 4, bias=False)
        self.view_head = nn.Linear(6, 12, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        features = self.trunk(images).tanh()
        embeddings = self.neck(features)
        return features, embeddings, self.id_head(embeddings), self.view_head(embeddings)


def build_network() -> Network:
    torch.manual_seed(3)
    return Network().double()


def build_losses() -> dict[str, Loss]:
    return {
        "range": SupportNeighbourLoss(4, 5.0, 0.5, "range"),
        "nearest": SupportNeighbourLoss(4, 5.0, 0.5, "nearest", space="embeddings"),
        "batch": SupportNeighbourLoss(4, 5.0, 0.5, "batch"),
        "triplet": BatchHardTripletLoss(1.0),
        "viewpoint-aware": ViewpointAwareLoss.poster(ViewClasses.every_view(4), beta=0.5),
    }


def forward_rows(network: nn.Module, heads: Network, rows: slice) -> LossInputs:
    images = torch.randn((len(PERSONS), 5), generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    features, embeddings, id_logits, view_logits = network(images[rows])
    return LossInputs(
        features=features,
        embeddings=embeddings,
        persons=torch.tensor(PERSONS[rows]),
        views=torch.tensor(VIEWS[rows]),
        id_logits=id_logits,
        view_logits=view_logits,
        id_weight=heads.id_head.weight,
        view_weight=heads.view_head.weight,
    )


def losses_and_gradients(
    network: nn.Module, heads: Network, rows: slice, gather: Callable[[LossInputs], LossInputs]
) -> dict[str, dict[str, Tensor]]:
    """For each loss, its value and the gradient of every parameter (zeros where it takes no part)."""
    found = {}
    for name, loss in build_losses().items():
        heads.zero_grad()
        value = total(loss(gather(forward_rows(network, heads, rows))))
        value.backward()
        found[name] = {"loss": value.detach()} | {
            key: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
            for key, parameter in heads.named_parameters()
        }
    return found


def main(rank: int, store: str, out: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=WORLD, timeout=timedelta(seconds=120)
    )
    network = build_network()
    parallel = DistributedDataParallel(network, find_unused_parameters=True)
    half = len(PERSONS) // WORLD
    result: dict[str, object] = {
        "gathered": losses_and_gradients(
            parallel, network, slice(rank * half, (rank + 1) * half), lambda inputs: gather_inputs(inputs)
        )
    }
    uneven = forward_rows(network, network, slice(0, 3 + rank))
    try:
        gather_inputs(uneven)
    except LossError as error:
        result["refused"] = str(error)
    torch.save(result, out)
    distributed.destroy_process_group()
    # gloo sometimes leaves a thread behind, and the interpreter, closing down, aborts because of it.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
