"""The precision in which losses are computed, whatever the network ran in."""

import torch
from torch import Tensor


def widened(values: Tensor) -> Tensor:
    """`values` (any shape) in float32, or unchanged when they are float64 already.

    Every core calls this first. Distances and log-sum-exp need it: with a = 50 the support-neighbour exponents span
    a range in which float16 overflows and bfloat16 keeps two digits. It is all that autocast asks of us, because no
    core multiplies matrices: what remains (differences, sums, exponentials) autocast leaves in the precision it gets.
    """
    return values if values.dtype == torch.float64 else values.float()
