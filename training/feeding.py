"""Crops from the cache to the device: kept there as a whole where they fit."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SHARE = 0.5  # of the memory that is free on the device; the rest is for the network
_ROWS = 4096  # that are copied at a time


class CropFeed:
    """Rows of `pixels`, uint8 (N, H, W, 3), on a device.

    resident: whether all of them lie in the device's memory. On the CPU the file's mapping is that memory already.
    """

    def __init__(self, pixels: NDArray[np.uint8], device: torch.device) -> None:
        self.device = device
        self._pixels = pixels
        self._kept: Tensor | None = None
        if device.type == "cuda" and pixels.nbytes <= _SHARE * torch.cuda.mem_get_info(device)[0]:
            self._kept = torch.empty(pixels.shape, dtype=torch.uint8, device=device)
            for start in range(0, len(pixels), _ROWS):
                self._kept[start : start + _ROWS] = torch.from_numpy(np.array(pixels[start : start + _ROWS]))

    @property
    def resident(self) -> bool:
        return self.device.type == "cpu" or self._kept is not None

    def rows(self, places: NDArray[np.int64]) -> Tensor:
        """uint8 (len(places), H, W, 3) on the device."""
        if self._kept is not None:
            return self._kept[torch.from_numpy(places).to(self.device)]
        crops = torch.from_numpy(np.asarray(self._pixels[places]))
        if self.device.type == "cpu":
            return crops
        return crops.pin_memory().to(self.device, non_blocking=True)
