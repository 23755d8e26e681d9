"""The galleries of a Milvus server, as the settings name it. Nothing else but the engine itself imports pymilvus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.settings import ServiceSettings

if TYPE_CHECKING:
    from service.gallery.milvus import MilvusEngine


def open_milvus(settings: ServiceSettings) -> MilvusEngine:
    """The server need not be there yet; the engine's `check` says whether it is."""
    from service.gallery.milvus import MilvusEngine

    assert settings.milvus_uri is not None
    assert settings.database_url is not None
    return MilvusEngine.open(
        settings.milvus_uri,
        token="" if settings.milvus_token is None else settings.milvus_token.get_secret_value(),
        database_url=settings.database_url,
        crops_directory=settings.crops or settings.data / "crops",
        snapshots_directory=settings.snapshots or settings.data / "snapshots",
    )
