"""A network as after some training, small enough to be exported in seconds, and crops to prove it on."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from models import Crops
from training.data import load_dataset
from training.export import ExportFacts, licence_of, proof_crops, served_input
from training.networks import NetworkSettings, PixelNormalisation, ReidNetwork

DATA = "synthetic:people=24,cameras=3,seed=1,size=64x32"


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def spec():
    return served_input(64, 32, "bilinear")


@pytest.fixture(scope="session")
def crops(spec) -> Crops:
    return proof_crops(load_dataset(DATA), spec, workers=1)


@pytest.fixture(scope="session")
def network(crops: Crops) -> ReidNetwork:
    """osnet_x0_25 with one block a stage. Statistics are those of these crops, or all embeddings would be alike."""
    torch.manual_seed(3)
    network = ReidNetwork(NetworkSettings("osnet_x0_25", 64, 32, persons=3, viewpoint_classifier=True))
    for name, module in list(network.backbone.named_modules()):
        if name.rpartition(".")[2].startswith("stage"):
            del module[1]
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
    network.train()
    with torch.no_grad():
        for _ in range(2):
            network(PixelNormalisation(network.mean, network.std)(torch.from_numpy(np.array(crops.pixels))))
    for neck in network.necks:
        neck.running_mean.mul_(0.3)  # features that never vary would else be noise, enlarged
    return network.eval()


@pytest.fixture(scope="session")
def facts(spec) -> ExportFacts:
    return ExportFacts(name="small", version="3", licence=licence_of("synthetic", None, None), input=spec)
