"""The optimiser that a recipe asks for."""

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from training.recipe import OptimiserTable

_CLASSIFIER = "viewpoint_classifier."


def build_optimiser(network: nn.Module, table: OptimiserTable) -> Optimizer:
    """Over the network's trainable parameters; weights decay only where they have at least two dimensions."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": table.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    # Fused: one pass over all parameters. On a CPU it is several times faster than a loop over small tensors.
    if table.kind == "sgd":
        return SGD(groups, table.lr, momentum=table.momentum, nesterov=True, fused=True)
    return (Adam if table.kind == "adam" else AdamW)(groups, table.lr, fused=True)


def set_learning_rate(optimiser: Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr


def clipped_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Those whose gradients count in the norm that clipping looks at: all that are trained but the viewpoint
    classifier's, which learns beside the network without influencing it."""
    named = network.named_parameters()
    return [p for name, p in named if p.requires_grad and not name.startswith(_CLASSIFIER)]


def clip_gradients(parameters: list[nn.Parameter], largest: float) -> None:
    """Scale their gradient to the norm `largest` where it is longer; 0 leaves it alone."""
    if largest > 0:
        torch.nn.utils.clip_grad_norm_(parameters, largest)
