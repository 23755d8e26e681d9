"""How well the network finds training people that it does not train on."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval import Labels, ranking_metrics, squared_distance
from training.data import CropCache, Split
from training.feeding import CropFeed
from training.networks import PixelNormalisation, ReidNetwork

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Score:
    """Fractions in [0, 1]. map: the mean of step APs; rank1: the share of queries whose best hit is right."""

    map: float
    rank1: float


class Validation:
    """query against gallery under Market-1501's rule; where cameras are not known, without its camera part."""

    def __init__(self, feed: CropFeed, cache: CropCache, query: Split, gallery: Split) -> None:
        self.feed = feed
        self.query, self._query_rows = cache.select(query)
        self.gallery, self._gallery_rows = cache.select(gallery)

    def __call__(self, network: ReidNetwork) -> Score:
        """network: in eval mode, on the device of the feed. In float32, as it will be served."""
        asked, kept = self.vectors(network)
        similarity = asked @ kept.T
        query, gallery = self._labels(self.query), self._labels(self.gallery)
        cameras_known = query.camera is not None and gallery.camera is not None
        metrics = ranking_metrics(
            squared_distance(similarity), query, gallery, ignore_cameras=not cameras_known, junk=""
        )
        return Score(metrics.map_step, metrics.rank1)

    def vectors(self, network: ReidNetwork) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The embeddings of `query` and `gallery`, float32 (Q, D) and (G, D) of length 1; network as above."""
        return self._embed(network, self._query_rows), self._embed(network, self._gallery_rows)

    @staticmethod
    def _labels(split: Split) -> Labels:
        return Labels(split.persons, split.cameras)

    @torch.inference_mode()
    def _embed(self, network: ReidNetwork, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        normalise = PixelNormalisation(network.mean, network.std).to(self.feed.device)
        batches = [
            network.embed(normalise(self.feed.rows(rows[start : start + _BATCH])))[0].cpu()
            for start in range(0, len(rows), _BATCH)
        ]
        return np.asarray(torch.cat(batches).numpy(), np.float32)
