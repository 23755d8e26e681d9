"""What a model answers: unit vectors, and viewpoints where it was trained with them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.card import Card
from models.errors import EmbeddingError
from models.graph import VIEWPOINTS

# Half precision rounds a length of 1 by less than this; a vector that was never normalised is further off.
_NORM_TOLERANCE = 1e-2


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """One row per crop, in the order of the crops; both arrays are read-only.

    vectors: float32 (N, D), each of length 1.
    viewpoints: float32 (N, 3), shares of front, side and back that sum to 1; None where the model does not tell.
    """

    vectors: NDArray[np.float32]
    viewpoints: NDArray[np.float32] | None

    def __post_init__(self) -> None:
        for name in ("vectors", "viewpoints"):
            array = getattr(self, name)
            if array is not None and array.flags.writeable:
                array = array.copy()
                array.flags.writeable = False
                object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.vectors)


def unit_vectors(raw: NDArray[Any], first: int, card: Card) -> NDArray[np.float32]:
    """Check the graph's embeddings and bring them to length 1; `first` is the place of row 0 among the caller's crops.

    raw: floating point (n, dimension). Returns float32 of the same shape. Rows are computed one by one, so none depends
    on another.
    """
    exact = raw.astype(np.float64)
    norms = np.sqrt(np.square(exact).sum(axis=1))
    _check_finite(exact, "embedding", first)
    if (norms < 1e-12).any():
        raise EmbeddingError(
            f"the embedding of crop {first + int(np.argmin(norms))} is a zero vector, which resembles nothing: "
            "the model is broken, or its card describes another input (dtype, scale, mean, std)"
        )
    worst = int(np.argmax(np.abs(norms - 1)))
    if card.embedding.normalised and abs(norms[worst] - 1) > _NORM_TOLERANCE:
        raise EmbeddingError(
            f"the embedding of crop {first + worst} has length {norms[worst]:.4g}, but the card says that the graph "
            "normalises: set embedding.normalised to false"
        )
    unit: NDArray[np.float32] = (exact / norms[:, None]).astype(np.float32)
    return unit


def checked_viewpoints(raw: NDArray[Any], first: int) -> NDArray[np.float32]:
    """Check the graph's viewpoints, floating point (n, 3), and return them as float32."""
    exact = raw.astype(np.float64)
    _check_finite(exact, "viewpoint", first)
    wrong = (exact.min(axis=1) < 0) | (np.abs(exact.sum(axis=1) - 1) > _NORM_TOLERANCE)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise EmbeddingError(
            f"the viewpoint of crop {first + row} is {np.round(exact[row], 4).tolist()}, not {VIEWPOINTS} shares that "
            "sum to 1: export the graph with its softmax, or set outputs.viewpoint to null"
        )
    return exact.astype(np.float32)


def _check_finite(values: NDArray[np.float64], what: str, first: int) -> None:
    broken = ~np.isfinite(values).all(axis=1)
    if broken.any():
        raise EmbeddingError(
            f"the {what} of crop {first + int(np.argmax(broken))} holds NaN or infinity: the model overflows "
            "(float16 does so past 65504), or its card describes another input (dtype, scale, mean, std)"
        )
