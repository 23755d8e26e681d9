"""The moving average of a network's weights: what is validated, kept and exported."""

import copy

import torch

from training.networks import ReidNetwork


class WeightAverage:
    """`network` is a copy in eval mode whose weights follow: e <- d e + (1 - d) w at every `update`.

    d = min(decay, (1 + updates) / (10 + updates)): short at first, or the random start would stay in the average for
    1 / (1 - decay) steps. Running statistics are averaged likewise, since they belong to the averaged weights; counters
    are copied. With decay 0 it is the network itself.
    """

    def __init__(self, network: ReidNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0
        # Optimiser, statistics and checkpoints all write into the tensors that are there, so they are listed once.
        pairs = list(zip(self.network.state_dict().values(), network.state_dict().values(), strict=True))
        self._floating = [(own, new) for own, new in pairs if own.is_floating_point()]
        self._counters = [(own, new) for own, new in pairs if not own.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.decay else 0.0
        self.updates += 1
        torch._foreach_lerp_([own for own, _ in self._floating], [new for _, new in self._floating], 1 - decay)
        for own, new in self._counters:
            own.copy_(new)
