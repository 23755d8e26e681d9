"""From which sizes on a gallery is searched in another way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

from retrieval.gpu_search import use_gpu
from service.gallery.settings import GallerySettings

Kind = Literal["flat", "half", "signs", "hnsw", "ivf", "gpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Items, each.

    flat_up_to          `auto` galleries search every vector up to here: exact, and as fast as an index.
    gpu_from            from here on a GPU searches every vector; None where no GPU is to be used.
    half_up_to          up to here every vector is read at half its width: exact, too, and above as fast as an index.
    approximate_from    no approximate index is made below: there is nothing to gain, and too little to learn from.
    graph_up_to         the re-ranking graph is made up to here, and one that was not asked for is kept: making one
                        compares every item with every other, and adding to it the new ones with all.
    at_once_up_to       a missing graph or index is made while opening; above that aside, while searches are answered.
    """

    flat_up_to: int = 4_000
    half_up_to: int = 50_000
    gpu_from: int | None = None
    approximate_from: int = 1_000
    graph_up_to: int = 400_000
    at_once_up_to: int = 4_000

    @classmethod
    def for_device(cls, device: Literal["auto", "cpu", "cuda"]) -> Self:
        """As a service that runs its model on this device has them: a GPU that faiss sees is used unless it is told to
        keep to the processor. Small galleries are answered sooner than a GPU is asked."""
        sizes = cls()
        return replace(sizes, gpu_from=sizes.half_up_to) if device != "cpu" and use_gpu("auto") else sizes

    def kind(self, settings: GallerySettings, count: int, present: Kind) -> Kind:
        """How a gallery of `count` items should be searched; one at the border does not change to and fro."""
        if settings.index == "auto":
            if self.gpu_from is not None and count > _border(self.gpu_from, beyond=present == "gpu"):
                return "gpu"
            if count <= _border(self.flat_up_to, beyond=present != "flat"):
                return "flat"
            return "half" if count <= _border(self.half_up_to, beyond=present not in ("flat", "half")) else "signs"
        return settings.index if count >= self.approximate_from else "flat"

    def graph(self, settings: GallerySettings, count: int) -> bool:
        """Whether a gallery of `count` items should be given a re-ranking graph."""
        return settings.rerank != "off" and count <= self.graph_up_to


def _border(size: int, *, beyond: bool) -> int:
    """Who has grown beyond a size must shrink well below it to come back."""
    return size * 2 // 3 if beyond else size
