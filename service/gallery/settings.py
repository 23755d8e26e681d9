"""What is decided when a gallery is made, and stays with it."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from models import Card
from retrieval import RerankSettings
from service.gallery.errors import BadItemError, ModelMismatchError

IndexKind = Literal["auto", "flat", "half", "signs", "hnsw", "ivf", "gpu"]
RerankMode = Literal["off", "online", "local"]


class GallerySettings(BaseModel):
    """A gallery belongs to one model, by the hash of its file: vectors of two models cannot be compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_name: str = Field(description="The model whose vectors these are, as its card names it.")
    model_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="The hash of its ONNX file.")
    dimension: int = Field(ge=1, le=65536, description="Numbers in a vector.")
    index: IndexKind = Field(
        "auto", description="flat and half are exact; auto goes from flat to half to signs as a gallery grows."
    )
    rerank: RerankMode = Field("online", description="How searches are re-ranked that do not say it themselves.")
    k1: int = Field(20, ge=1, le=1000, description="Re-ranking: neighbours that count as near.")
    k2: int = Field(6, ge=1, le=1000, description="Re-ranking: neighbours over which an encoding is averaged.")
    lam: float = Field(0.3, ge=0, le=1, description="Re-ranking: the share of the plain distance in the final one.")
    store_crops: bool = Field(False, description="Whether the pictures themselves are kept.")
    ttl_seconds: int | None = Field(
        None, ge=1, description="Items expire so long after they were captured, or added where that is not known."
    )
    deny_erased: bool = Field(
        False,
        description="Whether ids that were deleted are refused from then on, so that indexing cannot restore them.",
    )

    @classmethod
    def for_model(cls, card: Card, sha256: str | None = None, **others: object) -> Self:
        """Settings of a gallery for a model; `sha256` is the served file's where it is not the card's main one."""
        chosen = {"model_name": card.name, "model_sha256": sha256 or card.sha256, "dimension": card.embedding.dimension}
        return cls.model_validate(chosen | others)

    @property
    def reranking(self) -> RerankSettings:
        return RerankSettings(self.k1, self.k2, self.lam)


def require_model(gallery: str, settings: GallerySettings, name: str, sha256: str) -> None:
    """Refuses a model that is not the gallery's."""
    if settings.model_sha256 != sha256:
        raise ModelMismatchError(
            f"gallery {gallery!r} holds vectors of {settings.model_name} ({settings.model_sha256[:12]}), not of {name} "
            f"({sha256[:12]}): use that model, or run `vantage gallery reembed {gallery}` with the new one"
        )


NAME_PATTERN = "[a-z0-9][a-z0-9._-]{0,62}"


def check_gallery_name(name: str) -> str:
    """The name, if a gallery may bear it: it stands in addresses."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise BadItemError(
            f"a gallery cannot be called {name!r}: use 1 to 63 of a-z, 0-9, '.', '_' and '-', a letter or digit first"
        )
    return name
