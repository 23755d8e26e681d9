"""A bundle with random weights, as heavy as a real one: what a benchmark needs of a model."""

from pathlib import Path

import numpy as np

BACKBONES = {"osnet": "osnet_x1_0", "resnet50": "resnet50"}
"""About 1 and 4 thousand million operations a crop of 256 x 128."""


def make_bundle(kind: str, out: Path) -> None:
    """Writes it; the statistics of its normalisations are those of rendered people."""
    import torch
    from torch import nn

    from training.data import load_dataset
    from training.export import ExportFacts, licence_of, proof_crops, served_input, write_bundle
    from training.networks import NetworkSettings, PixelNormalisation, ReidNetwork

    torch.manual_seed(0)
    spec = served_input(256, 128, "bilinear")
    crops = proof_crops(load_dataset("synthetic:people=24,cameras=3,seed=1,size=128x64"), spec, workers=1)
    network = ReidNetwork(NetworkSettings(BACKBONES[kind], 256, 128, persons=3, viewpoint_classifier=True))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
    network.train()
    with torch.no_grad():
        network(PixelNormalisation(network.mean, network.std)(torch.from_numpy(np.array(crops.pixels[:16]))))
    facts = ExportFacts(f"{kind}-random", "1", licence_of("synthetic", None, None), spec)
    write_bundle(network.eval(), facts, out, crops, half_precision=False)
