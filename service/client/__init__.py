"""A client of the HTTP service, for threads and for event loops: `Client` and `AsyncClient`.

It needs httpx and pydantic, and nothing of what serves: neither fastapi nor onnxruntime nor faiss is imported.
"""

from service.client.answers import (
    DeleteReceipt,
    Embedding,
    Explanation,
    Feedback,
    Gallery,
    Item,
    Job,
    Put,
    Query,
    Readiness,
    Reranking,
    Result,
    RunningModel,
    SearchAnswer,
    ServedModel,
    Shared,
    Snapshot,
    Thresholds,
    Version,
)
from service.client.asynchronous import AsyncClient
from service.client.bulk import Added, NotAdded
from service.client.errors import (
    BadCallError,
    BusyError,
    ConflictError,
    ForbiddenError,
    JobFailedError,
    NotFoundError,
    ServiceError,
    UnauthorizedError,
    UnreachableError,
)
from service.client.filters import Filter
from service.client.new_items import NewItem
from service.client.pictures import Picture
from service.client.sync import Client

__all__ = [
    "Added",
    "AsyncClient",
    "BadCallError",
    "BusyError",
    "Client",
    "ConflictError",
    "DeleteReceipt",
    "Embedding",
    "Explanation",
    "Feedback",
    "Filter",
    "ForbiddenError",
    "Gallery",
    "Item",
    "Job",
    "JobFailedError",
    "NewItem",
    "NotAdded",
    "NotFoundError",
    "Picture",
    "Put",
    "Query",
    "Readiness",
    "Reranking",
    "Result",
    "RunningModel",
    "SearchAnswer",
    "ServedModel",
    "ServiceError",
    "Shared",
    "Snapshot",
    "Thresholds",
    "UnauthorizedError",
    "UnreachableError",
    "Version",
]
