"""One batch out of the batches of all processes, so that a loss over a batch means the same on 1 GPU and on 8."""

from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed import ProcessGroup

from training.losses.batch import LossInputs
from training.losses.errors import LossError
from training.losses.precision import widened


class _GatherRows(torch.autograd.Function):
    """Rows of every process, in rank order; backward sums every process's gradient for the rows that are ours.

    Ours because torch has it only deprecated (`torch.distributed.nn`) or in a private module.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, group: ProcessGroup | None) -> Tensor:
        ctx.group = group
        ctx.shape = rows.shape
        return _gathered(rows, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        ours = gradient.new_empty(ctx.shape)
        distributed.reduce_scatter_tensor(ours, gradient.contiguous(), group=ctx.group)
        return ours, None


def gather_inputs(inputs: LossInputs, group: ProcessGroup | None = None) -> LossInputs:
    """The batch of the whole group: the rows of rank 0, then of rank 1, and so on; the head weights stay as they are.

    Every process then computes the same loss, over the whole batch, and every process must call `backward` on it:

        parts = loss(gather_inputs(inputs))
        total(parts).backward()                 # with the network wrapped in DistributedDataParallel

    The gradients come out as those of one process with the whole batch. The whole-batch loss l is computed W times,
    so the summing backward leaves W·dl/dx at each process's rows, and parameters with J_r W·dl/dx_r; the *average*
    over processes that DistributedDataParallel takes is Σ_r J_r dl/dx_r. Terms on the head weights alone have the
    same full gradient everywhere, and their average is itself. Do not scale the loss by the number of processes.

    Floating rows are widened to float32 before they travel, since their gradients are summed on the way back.
    Every process must bring the same number of images. Outside of a process group, `inputs` itself is returned.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size(group) == 1:
        return inputs
    counts = _gathered(torch.tensor([len(inputs.persons)], device=inputs.persons.device), group).tolist()
    if len(set(counts)) > 1:
        raise LossError(
            f"the processes bring batches of {counts} images: the losses need as many from each; "
            "let the sampler drop or fill the last batch"
        )
    labels = _gathered(torch.stack([inputs.persons, inputs.views], dim=1), group)
    return LossInputs(
        features=_with_gradient(inputs.features, group),
        embeddings=_with_gradient(inputs.embeddings, group),
        persons=labels[:, 0],
        views=labels[:, 1],
        id_logits=None if inputs.id_logits is None else _with_gradient(inputs.id_logits, group),
        view_logits=None if inputs.view_logits is None else _with_gradient(inputs.view_logits, group),
        id_weight=inputs.id_weight,
        view_weight=inputs.view_weight,
    )


def _with_gradient(rows: Tensor, group: ProcessGroup | None) -> Tensor:
    gathered: Tensor = _GatherRows.apply(widened(rows), group)
    return gathered


def _gathered(rows: Tensor, group: ProcessGroup | None) -> Tensor:
    everything = rows.new_empty((distributed.get_world_size(group) * len(rows), *rows.shape[1:]))
    distributed.all_gather_into_tensor(everything, rows.contiguous(), group=group)
    return everything
