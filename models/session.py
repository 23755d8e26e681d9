"""Run a bundle: crops in, embeddings out, on the device that was asked for.

A session keeps no state between calls, so any number of threads may call `embed` at once.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.adapter import Adapter
from models.bundle import Bundle
from models.card import Card, Precision
from models.crops import Crops
from models.embeddings import Embeddings, checked_viewpoints, unit_vectors
from models.errors import EmbeddingError, ProviderError
from models.graph import VIEWPOINTS, first_line
from models.providers import Device, Execution, open_runner

__all__ = ["Embeddings", "Session"]


class Session:
    """A model that runs.

    card, sha256, precision: of the bundle's chosen file.
    device: what was asked for. provider: what runs, in onnxruntime's words, such as "CUDAExecutionProvider".
    fallback_reason: why device "auto" runs on the CPU; None when it does not, or when the CPU was asked for.
    batch_sizes: the batches that the graph is run with, ascending. On a GPU 1, 2, 4, ..., max_batch, each tried out
        before the constructor returns, because a GPU pays for every size that it sees for the first time. On the CPU
        any size up to max_batch runs as it is, and this is (max_batch,). For a graph with a fixed batch, that one.
    """

    card: Card
    sha256: str
    precision: Precision
    device: Device
    provider: str
    fallback_reason: str | None
    batch_sizes: tuple[int, ...]

    def __init__(
        self,
        bundle: Bundle,
        device: Device = "auto",
        threads: int | None = None,
        max_batch: int = 32,
        *,
        spin: bool = False,
        gpu_memory_limit: int | None = None,
    ) -> None:
        """Load the model and warm it up. `threads`, `spin` and `gpu_memory_limit` (bytes): see `models.Execution`."""
        if max_batch < 1:
            raise ProviderError(f"max_batch is {max_batch}: a batch holds 1 crop or more")
        runner = open_runner(bundle.model_bytes, device, Execution(threads, spin, gpu_memory_limit))
        self.card = bundle.card
        self.sha256 = bundle.sha256
        self.precision = bundle.precision
        self.device = device
        self.provider = runner.provider
        self.fallback_reason = runner.fallback_reason
        self._runner = runner.session
        self._adapter = Adapter(bundle.card.input)
        self._outputs = [
            name for name in (bundle.card.outputs.embedding, bundle.card.outputs.viewpoint) if name is not None
        ]
        fixed = bundle.card.input.fixed_batch
        self._pads = fixed is not None or runner.provider != "CPUExecutionProvider"
        if fixed is not None:
            self.batch_sizes = (fixed,)
        else:
            self.batch_sizes = _buckets(max_batch) if self._pads else (max_batch,)
        self._warm_up()

    def embed(self, crops: Crops) -> Embeddings:
        """Embed any number of crops, none included. A crop's answer does not depend on the crops around it."""
        spec = self.card.input
        if (crops.height, crops.width) != (spec.height, spec.width):
            raise EmbeddingError(
                f"crops are {crops.height} x {crops.width} (height x width), {self.card.name} takes "
                f"{spec.height} x {spec.width}: make them with models.preprocess.to_crops and this model's card.input"
            )
        largest = self.batch_sizes[-1]
        vectors = np.empty((len(crops), self.card.embedding.dimension), np.float32)
        viewpoints = None if self.card.outputs.viewpoint is None else np.empty((len(crops), VIEWPOINTS), np.float32)
        for start in range(0, len(crops), largest):
            chunk = crops.pixels[start : start + largest]
            answers = self._run(self._padded(chunk))
            rows = slice(start, start + len(chunk))
            vectors[rows] = unit_vectors(answers[0][: len(chunk)], start, self.card)
            if viewpoints is not None:
                viewpoints[rows] = checked_viewpoints(answers[1][: len(chunk)], start)
        for array in (vectors, viewpoints):
            if array is not None:
                array.flags.writeable = False
        return Embeddings(vectors, viewpoints)

    def _padded(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The crops, followed by black ones up to the next batch size."""
        if not self._pads:
            return pixels
        size = next(size for size in self.batch_sizes if size >= len(pixels))
        if size == len(pixels):
            return pixels
        return np.concatenate([pixels, np.zeros((size - len(pixels), *pixels.shape[1:]), np.uint8)])

    def _run(self, pixels: NDArray[np.uint8]) -> Sequence[NDArray[Any]]:
        """One run of the graph; answers of the right shape, embedding first."""
        try:
            answers: Sequence[NDArray[Any]] = self._runner.run(
                self._outputs, {self.card.input.name: self._adapter.feed(pixels)}
            )
        except Exception as error:  # onnxruntime's exceptions have no common class but this one
            raise ProviderError(
                f"{self.card.name} failed on {self.provider} with a batch of {len(pixels)}: {first_line(error)}"
            ) from error
        for name, answer, width in zip(
            self._outputs, answers, (self.card.embedding.dimension, VIEWPOINTS), strict=False
        ):
            if answer.shape != (len(pixels), width):
                raise EmbeddingError(
                    f"output {name} of {self.card.name} has shape {list(answer.shape)} for {len(pixels)} crops, the "
                    f"card says {[len(pixels), width]}: mend embedding.dimension or outputs in the card"
                )
        return answers

    def _warm_up(self) -> None:
        """Run every batch size once, so that no request pays for the first time and a model that cannot run shows."""
        sizes = self.batch_sizes if self._pads else (1,)
        # The smallest and the largest first: TensorRT then builds an engine for this whole range, and none in between.
        order = dict.fromkeys((sizes[0], sizes[-1], *sizes))
        spec = self.card.input
        for size in order:
            self._run(np.full((size, spec.height, spec.width, 3), 128, np.uint8))


def _buckets(largest: int) -> tuple[int, ...]:
    """1, 2, 4, ... below `largest`, and `largest`."""
    return (*(1 << power for power in range((largest - 1).bit_length())), largest)
