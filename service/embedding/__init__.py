"""From the bytes of a picture to a vector, for many clients at once: decoding, the queue, and the model that serves."""

from service.embedding.decoding import Decoded, Decoder
from service.embedding.errors import (
    DeadlineExceededError,
    QueueFullError,
    ReloadError,
    ServingError,
    ShuttingDownError,
    TooManyCropsError,
)
from service.embedding.model import Lane, ModelHolder, ServedModel
from service.embedding.observer import NoObserver, Observer, Rejection, Release
from service.embedding.pace import RunTimes
from service.embedding.queue import EmbeddingQueue
from service.embedding.request import Embedded

__all__ = [
    "DeadlineExceededError",
    "Decoded",
    "Decoder",
    "Embedded",
    "EmbeddingQueue",
    "Lane",
    "ModelHolder",
    "NoObserver",
    "Observer",
    "QueueFullError",
    "Rejection",
    "Release",
    "ReloadError",
    "RunTimes",
    "ServedModel",
    "ServingError",
    "ShuttingDownError",
    "TooManyCropsError",
]
