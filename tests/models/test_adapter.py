from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.adapter import Adapter
from models.card import InputSpec


def literal(pixels: np.ndarray, spec: InputSpec) -> np.ndarray:
    """The card's formula, one number at a time."""
    count, height, width, _ = pixels.shape
    shape = (count, height, width, 3) if spec.layout == "NHWC" else (count, 3, height, width)
    out = np.zeros(shape, np.float64)
    for n in range(count):
        for y in range(height):
            for x in range(width):
                for channel in range(3):
                    value = float(pixels[n, y, x, channel if spec.colour == "RGB" else 2 - channel])
                    value *= 1.0 if spec.scale is None else spec.scale
                    value = (value - (spec.mean or (0, 0, 0))[channel]) / (spec.std or (1, 1, 1))[channel]
                    out[(n, y, x, channel) if spec.layout == "NHWC" else (n, channel, y, x)] = value
    return out


NORMALISATIONS: list[dict[str, Any]] = [
    {},
    {"scale": 1 / 255},
    {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
]


@settings(deadline=None, max_examples=60)
@given(
    layout=st.sampled_from(["NHWC", "NCHW"]),
    colour=st.sampled_from(["RGB", "BGR"]),
    dtype=st.sampled_from(["uint8", "float32", "float16"]),
    normalisation=st.sampled_from(NORMALISATIONS),
    shape=st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_feed_is_the_formula_of_the_card(
    layout: Any, colour: Any, dtype: Any, normalisation: dict[str, Any], shape: tuple[int, int, int], seed: int
) -> None:
    spec = InputSpec(
        name="x",
        height=shape[1],
        width=shape[2],
        resize="bilinear",
        layout=layout,
        dtype=dtype,
        colour=colour,
        **({} if dtype == "uint8" else normalisation),
    )
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    feed = Adapter(spec).feed(pixels)
    expected = literal(pixels, spec)
    assert feed.dtype == np.dtype(dtype)
    assert feed.shape == expected.shape
    assert feed.flags.c_contiguous
    tolerance = {"uint8": 0.0, "float32": 1e-5, "float16": 2e-3}[dtype]
    np.testing.assert_allclose(feed.astype(np.float64), expected, rtol=tolerance, atol=tolerance)


def test_our_own_exports_are_fed_without_a_copy(make_spec: Callable[..., InputSpec]) -> None:
    pixels = np.zeros((2, 8, 4, 3), np.uint8)
    assert np.shares_memory(Adapter(make_spec()).feed(pixels), pixels)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_pixels_that_are_not_normalised_keep_their_values(make_spec: Callable[..., InputSpec], dtype: str) -> None:
    pixels = np.arange(256, dtype=np.uint8)[:192].reshape(2, 8, 4, 3)
    assert (Adapter(make_spec(dtype=dtype)).feed(pixels) == pixels).all()
