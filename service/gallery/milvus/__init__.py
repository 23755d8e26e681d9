"""The distributed engine: galleries as collections of a Milvus server, shared by any number of processes."""

from service.gallery.errors import GalleryError

try:
    import pymilvus  # noqa: F401
    import sqlalchemy  # noqa: F401
except ModuleNotFoundError as error:
    raise GalleryError(
        f"galleries on Milvus need {error.name}, which is not installed: pip install 'vantage-reid[milvus,sql]'"
    ) from error

from service.gallery.milvus.copying import Copied
from service.gallery.milvus.engine import MilvusEngine
from service.gallery.milvus.refreshing import Refreshed

__all__ = ["Copied", "MilvusEngine", "Refreshed"]
