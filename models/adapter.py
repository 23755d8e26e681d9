"""Turn our crops into what a graph wants: its layout, colour order, type and normalisation, all from the card."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.card import InputSpec


class Adapter:
    """`feed` of an InputSpec. Our own exports take crops as they are, and then nothing is copied."""

    def __init__(self, spec: InputSpec) -> None:
        self._channels = slice(None) if spec.colour == "RGB" else slice(None, None, -1)
        self._axes = (0, 1, 2, 3) if spec.layout == "NHWC" else (0, 3, 1, 2)
        self._dtype = np.dtype(spec.dtype)
        # (p * scale - mean) / std as p * gain + offset, worked out once in float64.
        mean = np.array(spec.mean or (0.0, 0.0, 0.0))
        std = np.array(spec.std or (1.0, 1.0, 1.0))
        self._gain = ((1.0 if spec.scale is None else spec.scale) / std).astype(np.float32)
        self._offset = (-mean / std).astype(np.float32)

    def feed(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """pixels: uint8 (N, H, W, 3) RGB. Returns the graph's input for them."""
        values: NDArray[Any] = pixels[..., self._channels]
        if self._dtype != np.uint8:
            values = values * self._gain + self._offset
        return np.ascontiguousarray(values.transpose(self._axes), dtype=self._dtype)
