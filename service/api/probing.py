"""From what a request brought to vectors: decoded, embedded, and by which model."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from starlette.requests import Request

from models import Crops
from service.api.access import Caller
from service.api.client_gone import while_there
from service.api.problems import Problem
from service.embedding import Decoded, Embedded, ServedModel
from service.gallery import GallerySettings
from service.images import BadImageError

Viewpoint = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """Pictures, embedded.

    vectors: float32 (n, D). viewpoints: one a picture; None where the model does not tell. decoded: one a picture.
    sha256: of the picture's file; of several, of their hashes in ascending order. seconds: by stage.
    """

    vectors: npt.NDArray[np.float32]
    viewpoints: tuple[Viewpoint, ...] | None
    decoded: tuple[Decoded, ...]
    model: ServedModel
    sha256: str
    seconds: dict[str, float]


async def look(request: Request, caller: Caller, pictures: Sequence[bytes], deadline: float | None) -> Looked:
    """Decodes and embeds pictures for a client that waits; when it goes, so does its place in the queue."""
    with caller.running.places.of(len(pictures)):
        return await while_there(request, embed(caller, pictures, deadline))


async def embed(caller: Caller, pictures: Sequence[bytes], deadline: float | None) -> Looked:
    started = time.perf_counter()
    decoded = await decode_all(caller, pictures, deadline)
    if len({id(one.model) for one in decoded}) > 1:  # a reload came between
        decoded = await decode_all(caller, pictures, deadline)
    seconds = time.perf_counter() - started
    caller.service.metrics.stage("decode", seconds)
    embedded = await caller.running.queue.embed(_stacked(decoded), deadline, model=decoded[0].model)
    return Looked(
        embedded.vectors,
        _viewpoints(embedded),
        tuple(decoded),
        embedded.model,
        name_of([one.sha256 for one in decoded]),
        {"decode": seconds, "queue": embedded.queue_seconds, "embed": embedded.embed_seconds},
    )


async def decode_all(caller: Caller, pictures: Sequence[bytes], deadline: float | None) -> list[Decoded]:
    """All pictures, or the first problem with one."""
    found = await decode_each(caller, pictures, deadline)
    for number, one in enumerate(found):
        if isinstance(one, BadImageError):
            which = f"picture {number + 1} of {len(found)}: " if len(found) > 1 else ""
            raise BadImageError(one.kind, f"{which}{one}")
    return [one for one in found if isinstance(one, Decoded)]


async def decode_each(
    caller: Caller, pictures: Sequence[bytes], deadline: float | None
) -> list[Decoded | BadImageError]:
    """Of one request no more are under way at once than there are decoders: others get their turn."""
    decoder, decoders = caller.running.decoder, asyncio.Semaphore(caller.service.settings.decoders)

    async def one(picture: bytes) -> Decoded | BadImageError:
        try:
            async with decoders:
                return await decoder.decode(picture, deadline)
        except BadImageError as error:
            caller.service.metrics.image_rejected(error.kind)
            return error

    if len(pictures) == 1:
        return [await one(pictures[0])]
    return list(await asyncio.gather(*(one(picture) for picture in pictures)))


def name_of(hashes: Sequence[str]) -> str:
    """What pictures are called in feedback: the hash of one, and of several the hash of their sorted hashes."""
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()


def given_vector(
    gallery: str, settings: GallerySettings, embedding: Sequence[float], model_sha256: str | None
) -> npt.NDArray[np.float32]:
    """A vector that a client brings, float32 (D,), if it can be one of the gallery's model."""
    if len(embedding) != settings.dimension:
        raise Problem(
            "dimension-mismatch",
            f"the embedding has {len(embedding)} numbers and gallery {gallery!r} holds vectors of "
            f"{settings.dimension}, of {settings.model_name}: embed with that model",
        )
    if model_sha256 is not None and model_sha256 != settings.model_sha256:
        raise Problem(
            "model-mismatch",
            f"the embedding is of the model {model_sha256[:12]} and gallery {gallery!r} holds vectors of "
            f"{settings.model_name} ({settings.model_sha256[:12]}): embed with that model",
        )
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as that
        return np.array(embedding, np.float32)


def deadline_of(caller: Caller, milliseconds: int | None) -> float:
    """By `time.monotonic`; counted from the request's first byte, as its sender does."""
    settings = caller.service.settings
    allowed = settings.default_deadline_ms if milliseconds is None else min(milliseconds, settings.max_deadline_ms)
    return caller.started + allowed / 1000


def _stacked(decoded: Sequence[Decoded]) -> Crops:
    if len(decoded) > 1:
        return Crops.stack([one.crop for one in decoded])
    pixels = decoded[0].crop[None]
    pixels.flags.writeable = False
    return Crops(pixels)


def _viewpoints(embedded: Embedded) -> tuple[Viewpoint, ...] | None:
    if embedded.viewpoints is None:
        return None
    return tuple((float(row[0]), float(row[1]), float(row[2])) for row in embedded.viewpoints)
