"""Networks that are not degenerate: batch-normalisation statistics as after some training."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Such small networks gain nothing from a second thread and wait for it long where the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def weathered() -> Callable[[nn.Module], nn.Module]:
    """Gives every batch normalisation of a network statistics and scales of its own, and returns it in eval mode."""

    def weather(network: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(7)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.7, 1.4, generator=generator)
                module.weight.data.uniform_(0.7, 1.3, generator=generator)
        return network.eval()

    return weather
