"""A batch of person crops, as every part of the house passes it on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import EmbeddingError


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """`pixels`: uint8 (N, H, W, 3), RGB, read-only. N may be 0.

    An array that can be written to is copied, so nobody can change a batch after it was made; a read-only array is
    taken as it is.
    """

    pixels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        pixels: Any = self.pixels  # whatever the caller gave
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
            found = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
            raise EmbeddingError(f"crops are uint8 of shape (N, H, W, 3) in RGB order, not {found}")
        if pixels.flags.writeable:
            pixels = pixels.copy()
            pixels.flags.writeable = False
            object.__setattr__(self, "pixels", pixels)

    @classmethod
    def stack(cls, crops: Sequence[NDArray[np.uint8]]) -> "Crops":
        """A batch of one or more crops, each uint8 (H, W, 3) and all of one size."""
        sizes = sorted({crop.shape for crop in crops})
        if len(sizes) != 1:
            raise EmbeddingError(f"a batch holds one or more crops of one size, not {len(crops)} of sizes {sizes}")
        batch = np.stack(crops)
        batch.flags.writeable = False
        return cls(batch)

    def __len__(self) -> int:
        return int(self.pixels.shape[0])

    def __getitem__(self, rows: slice) -> "Crops":
        """The crops of a slice, without a copy."""
        return Crops(self.pixels[rows])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[2])
