import asyncio
import hashlib
import io
import threading
import time
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models import to_crop
from service.embedding import DeadlineExceededError, Decoder, QueueFullError, ShuttingDownError
from service.images import BadImageError, ImageLimits


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 120))


def jpeg(width: int = 60, height: int = 150, seed: int = 0) -> bytes:
    file = io.BytesIO()
    small = np.random.default_rng(seed).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    Image.fromarray(small).resize((width, height)).save(file, "JPEG")
    return file.getvalue()


class Gate:
    """A holder whose `current` can be held up, and with it the decoding thread that asks for it."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.threads: list[str] = []

    @property
    def current(self) -> Any:
        self.threads.append(threading.current_thread().name)
        self.entered.release()
        assert self.go.acquire(timeout=60)
        return self._model


@pytest.fixture
def holder(kit: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(current=kit.model(kit.Session()))


def test_a_picture_becomes_the_crop_that_everybody_makes_of_it(holder: SimpleNamespace) -> None:
    async def go() -> None:
        decoder = Decoder(holder)
        content = jpeg()
        decoded = await decoder.decode(content)
        expected = to_crop(Image.open(io.BytesIO(content)), holder.current.card.input)
        np.testing.assert_array_equal(decoded.crop, expected)
        assert decoded.crop.shape == (128, 64, 3)
        assert not decoded.crop.flags.writeable
        assert (decoded.width, decoded.height) == (60, 150)
        assert decoded.sha256 == hashlib.sha256(content).hexdigest()
        assert decoded.model is holder.current
        decoder.close()

    run(go())


def test_bad_pictures_are_told_by_kind_and_cost_nothing_afterwards(holder: SimpleNamespace) -> None:
    async def go() -> None:
        decoder = Decoder(holder, limits=ImageLimits(pixels=100 * 100))
        for content, kind in ((b"<svg/>", "unsupported-media-type"), (jpeg(101, 100), "image-bomb")):
            with pytest.raises(BadImageError) as refused:
                await decoder.decode(content)
            assert refused.value.kind == kind
        assert decoder.pending == 0
        decoder.close()

    run(go())


def test_only_so_many_pictures_wait_and_those_whose_callers_have_gone_are_not_decoded(kit: SimpleNamespace) -> None:
    async def go() -> None:
        gate = Gate(kit.model(kit.Session()))
        decoder = Decoder(gate, threads=1, max_waiting=2)
        first = asyncio.create_task(decoder.decode(jpeg()))
        assert await asyncio.to_thread(gate.entered.acquire, timeout=60)
        gone = asyncio.create_task(decoder.decode(jpeg(seed=1)))
        late = asyncio.create_task(decoder.decode(jpeg(seed=2), time.monotonic() - 1))
        while decoder.pending < 3:
            await asyncio.sleep(0)
        with pytest.raises(QueueFullError, match="3 pictures wait") as refused:
            await decoder.decode(jpeg())
        assert refused.value.retry_after > 0
        gone.cancel()
        await asyncio.wait([gone])
        gate.go.release(2)
        assert (await first).width == 60
        with pytest.raises(DeadlineExceededError):
            await late
        after = await decoder.decode(jpeg(seed=3))
        assert after.sha256 == hashlib.sha256(jpeg(seed=3)).hexdigest()
        assert len(gate.threads) == 2  # the first and the last, and neither on the event loop's thread
        assert all(name.startswith("decoder") for name in gate.threads)
        assert decoder.pending == 0
        decoder.close()

    run(go())


def test_a_closed_decoder_takes_nothing_in(holder: SimpleNamespace) -> None:
    async def go() -> None:
        decoder = Decoder(holder)
        decoder.close()
        with pytest.raises(ShuttingDownError):
            await decoder.decode(jpeg())

    run(go())
