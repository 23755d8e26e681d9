"""The network that is trained: backbone, pooling, neck, identity and viewpoint heads, viewpoint classifier."""

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from training.networks.backbones import build_backbone
from training.networks.errors import NetworkError
from training.networks.heads import build_head
from training.networks.local_parts import PART_DIM, STRIPES, StripedBackbone, horizontal_stripes
from training.networks.neck import build_neck
from training.networks.osnet import OSNet
from training.networks.pooling import build_pooling
from training.networks.resnet import ResNet
from training.networks.settings import NetworkSettings
from training.networks.viewpoint_classifier import ViewpointClassifier
from training.networks.weights import Weights

_REDUCTION_STD = 0.01


class NetworkOutput(NamedTuple):
    """Everything that a loss may ask for, all float32. Without local parts there is one part, the whole person."""

    features: Tensor
    """(N, D): before the neck, all parts side by side; for metric losses."""
    embeddings: Tensor
    """(N, D): after the neck, all parts side by side; not of unit length."""
    id_logits: Tensor
    """(N, persons): of the whole person."""
    view_logits: Tensor | None
    """(N, view_classes): of the whole person; None without that head."""
    viewpoint_logits: Tensor | None
    """(N, 3): front, side, back; None without that classifier."""
    part_features: tuple[Tensor, ...]
    """(N, d) each: `features` by part, the whole person first."""
    part_id_logits: tuple[Tensor, ...]
    """(N, persons) each: the identity logits of every part; the first is `id_logits`."""


class Part(nn.Module):
    """Pooling of one stripe and, if asked for, its reduction to fewer numbers."""

    def __init__(self, channels: int, dim: int | None, pooling: nn.Module) -> None:
        super().__init__()
        self.pooling = pooling
        self.dim = dim or channels
        self.reduction = nn.Identity() if dim is None else nn.Linear(channels, dim, bias=False)
        if isinstance(self.reduction, nn.Linear):
            nn.init.normal_(self.reduction.weight, std=_REDUCTION_STD)

    def forward(self, stripe: Tensor) -> Tensor:
        """stripe: float (N, channels, h, w) -> float32 (N, dim)."""
        features: Tensor = self.reduction(self.pooling(stripe))
        return features


class ReidNetwork(nn.Module):
    """Crops in, embeddings and logits out.

    Under autocast only the backbone runs at reduced precision; everything after it is float32.

    weights: where the backbone starts: None for random values, "published", or a file.
    mean, std: what the crops must be normalised by, RGB, of pixels in [0, 1].
    embedding_dim: D, the length of the whole embedding.
    """

    def __init__(self, settings: NetworkSettings, weights: Weights = None) -> None:
        super().__init__()
        self.settings = settings
        backbone = build_backbone(settings.backbone, height=settings.height, width=settings.width, weights=weights)
        self.mean, self.std = backbone.mean, backbone.std
        self.backbone = backbone.module
        self.stripes: tuple[int, ...] = (1,)
        dim = settings.embedding_dim
        if settings.local_parts:
            assert isinstance(backbone.module, OSNet | ResNet), "settings let only these be cut"
            self.backbone, self.stripes, dim = StripedBackbone(backbone.module), STRIPES, dim or PART_DIM
        self.parts = nn.ModuleList(
            Part(backbone.channels, dim, build_pooling(settings.pooling)) for _ in range(sum(self.stripes))
        )
        part_dim = dim or backbone.channels
        self.embedding_dim = part_dim * len(self.parts)
        self.necks = nn.ModuleList(build_neck(settings.neck, part_dim) for _ in self.parts)
        self.id_heads = nn.ModuleList(self._head(part_dim, settings.persons) for _ in self.parts)
        self.view_head = None if settings.view_classes is None else self._head(part_dim, settings.view_classes)
        self.viewpoint_classifier = ViewpointClassifier(self.embedding_dim) if settings.viewpoint_classifier else None

    def _head(self, dim: int, classes: int) -> nn.Module:
        return build_head(self.settings.head, dim, classes, scale=self.settings.scale, margin=self.settings.margin)

    @property
    def id_centres(self) -> Tensor:
        """float (persons, d): the identity head's centres of the whole person, W of the regulariser."""
        centres = self.id_heads[0].weight
        assert isinstance(centres, Tensor)
        return centres

    @property
    def view_centres(self) -> Tensor:
        """float (view_classes, d): the viewpoint head's centres, U of the regulariser."""
        if self.view_head is None:
            raise NetworkError("this network has no viewpoint head: set view_classes in its settings")
        centres = self.view_head.weight
        assert isinstance(centres, Tensor)
        return centres

    def forward(
        self, crops: Tensor, person_labels: Tensor | None = None, view_labels: Tensor | None = None
    ) -> NetworkOutput:
        """crops: float (N, 3, H, W), normalised by `mean` and `std`.

        person_labels, view_labels: int64 (N,), the classes of the two heads; needed only where the hypersphere head is
        to apply its margin, in training.
        """
        maps = self.backbone(crops)
        with _full_precision(crops):
            part_features, part_embeddings = self._embed_parts(maps)
            embeddings = torch.cat(part_embeddings, dim=1)
            part_id_logits = tuple(
                head(part, person_labels) for head, part in zip(self.id_heads, part_embeddings, strict=True)
            )
            return NetworkOutput(
                features=torch.cat(part_features, dim=1),
                embeddings=embeddings,
                id_logits=part_id_logits[0],
                view_logits=None if self.view_head is None else self.view_head(part_embeddings[0], view_labels),
                viewpoint_logits=None if self.viewpoint_classifier is None else self.viewpoint_classifier(embeddings),
                part_features=part_features,
                part_id_logits=part_id_logits,
            )

    def embed(self, crops: Tensor) -> tuple[Tensor, Tensor | None]:
        """What is served: the embedding, float32 (N, D) of unit length, and the probabilities of front, side and back,
        float32 (N, 3), or None without a viewpoint classifier. The network must be in eval mode.

        crops: float (N, 3, H, W), normalised by `mean` and `std`.
        """
        if self.training:
            raise NetworkError(
                "embed() was called in training mode, where an embedding depends on the rest of its batch: "
                "call network.eval() first"
            )
        maps = self.backbone(crops)
        with _full_precision(crops):
            embeddings = torch.cat(self._embed_parts(maps)[1], dim=1)
            probabilities = None
            if self.viewpoint_classifier is not None:
                probabilities = self.viewpoint_classifier(embeddings).softmax(dim=1)
            return normalize(embeddings), probabilities

    def _embed_parts(self, maps: Tensor | tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        branches = (maps,) if isinstance(maps, Tensor) else maps
        stripes = [
            stripe
            for branch, count in zip(branches, self.stripes, strict=True)
            for stripe in horizontal_stripes(branch, count)
        ]
        features = tuple(part(stripe) for part, stripe in zip(self.parts, stripes, strict=True))
        return features, tuple(neck(part) for neck, part in zip(self.necks, features, strict=True))


def _full_precision(crops: Tensor) -> AbstractContextManager[object]:
    device = crops.device.type
    # Only where autocast is on: an exporter would record the context as an operator of its own.
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()
