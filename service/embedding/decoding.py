"""From the bytes of a picture to a crop, on a few threads beside the event loop."""

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models import ImageError, to_crop
from service.embedding.errors import DeadlineExceededError, QueueFullError, ShuttingDownError
from service.embedding.model import ServedModel
from service.embedding.queue import Holder
from service.images import LIMITS, BadImageError, ImageLimits, open_image

# What a picture is taken to need until the first was decoded.
_FIRST_SECONDS = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture as the model takes it.

    crop: uint8 (H, W, 3) RGB, read-only. model: whose size and filter it has; embed it with that one.
    width, height: of the picture in its file, before its orientation is applied. sha256: of the file.
    """

    crop: NDArray[np.uint8]
    model: ServedModel
    width: int
    height: int
    sha256: str


class Decoder:
    """Decodes pictures: bounded in those that wait, never on the event loop, by the one preprocessing of the house."""

    def __init__(
        self,
        holder: Holder,
        *,
        threads: int = 2,
        max_waiting: int = 64,
        limits: ImageLimits = LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """max_waiting: pictures that may wait, apart from those being decoded."""
        Image.init()  # reads Pillow's readers of formats, for which the first picture would wait otherwise
        self._holder = holder
        self._threads = threads
        self._most = max_waiting + threads
        self._limits = limits
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, "decoder")
        self._lock = threading.Lock()
        self._pending = 0
        self._seconds = _FIRST_SECONDS
        self._closed = False

    @property
    def pending(self) -> int:
        """Pictures that wait or are being decoded."""
        return self._pending

    async def decode(self, content: bytes, deadline: float | None = None) -> Decoded:
        """The picture's crop for the current model.

        BadImageError if it is none that is taken in, QueueFullError if too many wait, DeadlineExceededError if the
        deadline (by the clock) passed before its turn. A picture whose caller has gone is not decoded.
        """
        with self._lock:
            if self._closed:
                raise ShuttingDownError("the service is shutting down: ask again when it has started anew")
            if self._pending >= self._most:
                retry_after = self._pending * self._seconds / self._threads
                raise QueueFullError(
                    f"{self._pending} pictures wait to be decoded and {self._most} may: ask again in "
                    f"{retry_after:.2g} s",
                    retry_after,
                )
            self._pending += 1
            future = self._pool.submit(self._decode, content, deadline)
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Takes nothing in any more; what was taken in is finished."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=True)

    def _decode(self, content: bytes, deadline: float | None) -> Decoded:
        started = self._clock()
        if deadline is not None and started >= deadline:
            raise DeadlineExceededError("the deadline passed before the picture was decoded: allow more time")
        model = self._holder.current
        image = open_image(content, self._limits)
        try:
            crop = to_crop(image, model.card.input)
        except ImageError as error:
            raise BadImageError("undecodable-image", str(error)) from error
        crop.flags.writeable = False
        decoded = Decoded(crop, model, image.width, image.height, hashlib.sha256(content).hexdigest())
        seconds = self._clock() - started
        with self._lock:
            self._seconds += 0.1 * (seconds - self._seconds)
        return decoded

    def _done(self, future: Future[Decoded]) -> None:
        with self._lock:
            self._pending -= 1
