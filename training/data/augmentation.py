"""Random changes to crops, a batch at a time, on whatever device the batch is.

Crops stay uint8: normalisation belongs to the network (`PixelNormalisation`), so training and the exported graph share
one piece of arithmetic, and a batch that waits takes a quarter of the memory. None of the changes turns a front into a
side or a back: labels stay as they are, those of viewpoints included, also when a crop is mirrored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from training.data.errors import DataError

_ATTEMPTS = 100  # at a box that fits, before a crop is left whole, as in the paper's code
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class AugmentationSettings:
    """What is changed, how often and how much. The defaults are those of the VA-reID runs.

    flip: the chance that a crop is mirrored.
    pad: pixels of black added on every side, before a crop of the old size is cut out anywhere.
    erase: the chance that one box of a crop is erased (Zhong et al., AAAI 2020). The box covers a share of the crop
        between the two numbers of erase_area; its height : width lies between erase_aspect and 1 / erase_aspect.
    erase_fill: "mean", the colour that normalisation turns into 0, or "random", each pixel its own.
    brightness, contrast, saturation: each x multiplies by a factor from 1 - x to 1 + x; 0 leaves it alone.
    """

    flip: float = 0.5
    pad: int = 10
    erase: float = 0.5
    erase_area: tuple[float, float] = (0.02, 0.4)
    erase_aspect: float = 0.3
    erase_fill: Literal["mean", "random"] = "mean"
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "erase", "brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"{name} is {getattr(self, name)}: give a number from 0 to 1")
        pad: object = self.pad
        if not isinstance(pad, int) or pad < 0:
            raise DataError(f"pad is {pad}: give a whole number of pixels, 0 or more")
        area: tuple[float, ...] = tuple(self.erase_area)  # a recipe has a list
        object.__setattr__(self, "erase_area", area)
        if len(area) != 2 or not 0 < area[0] <= area[1] < 1:
            raise DataError(f"erase_area is {area}: give two shares between 0 and 1, the smaller first")
        if not 0 < self.erase_aspect <= 1:
            raise DataError(f"erase_aspect is {self.erase_aspect}: give a number above 0 and up to 1")
        if self.erase_fill not in ("mean", "random"):
            raise DataError(f"erase_fill is {self.erase_fill!r}: choose mean or random")


def augment(crops: Tensor, settings: AugmentationSettings, generator: torch.Generator, mean: Sequence[float]) -> Tensor:
    """Mirrored, shifted, recoloured and partly erased: uint8 (N, H, W, 3), every crop by draws of its own.

    crops: uint8 (N, H, W, 3) RGB, left as they are. generator: the only source of chance; all draws are made on its
    device, so one on the CPU gives the same batch on any device (to the last bit where nothing is recoloured). Every
    call draws equally much, whatever it changes. mean: RGB of pixels in [0, 1], the network's own; for erased boxes.
    """
    if crops.dtype != torch.uint8 or crops.ndim != 4 or crops.shape[3] != 3:
        raise DataError(f"crops to augment are uint8 (N, H, W, 3), not {crops.dtype} {tuple(crops.shape)}")
    changed = flip_and_shift(crops, settings.flip, settings.pad, generator)
    changed = recolour(changed, settings.brightness, settings.contrast, settings.saturation, generator)
    return erase(changed, settings, generator, mean)


def flip_and_shift(crops: Tensor, flip: float, pad: int, generator: torch.Generator) -> Tensor:
    """Mirrors with chance `flip`; moves by -pad..pad pixels each way and lets black in. uint8 (N, H, W, 3)."""
    n = len(crops)
    mirrored = _uniform((n,), generator, crops.device) < flip
    down = _whole_numbers((n,), 2 * pad + 1, generator, crops.device) - pad
    right = _whole_numbers((n,), 2 * pad + 1, generator, crops.device) - pad
    move = _moved_by_slices if crops.device.type == "cpu" else _moved_by_index
    return move(crops, mirrored, down, right)


def _moved_by_slices(crops: Tensor, mirrored: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """out[y, x] was at (y + down, x + right) of each crop, or at (.., width - 1 - x + right) if it is mirrored; black
    where nothing was.

    Crop by crop: on a CPU several times faster than all at once by index.
    """
    out = torch.zeros_like(crops, memory_format=torch.contiguous_format)
    _, height, width, _ = crops.shape
    for at, (mirror, y, x) in enumerate(zip(mirrored.tolist(), down.tolist(), right.tolist(), strict=True)):
        crop, x = (crops[at].flip(1), -x) if mirror else (crops[at], x)
        seen = crop[max(0, y) : max(0, height + y), max(0, x) : max(0, width + x)]
        if seen.numel():
            out[at, max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)] = seen
    return out


def _moved_by_index(crops: Tensor, mirrored: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """The same for all crops at once, without the device waiting for anything."""
    n, height, width, _ = crops.shape
    rows = torch.arange(height, device=crops.device) + down[:, None]
    columns = torch.arange(width, device=crops.device)
    columns = torch.where(mirrored[:, None], width - 1 - columns, columns) + right[:, None]
    inside = _within(rows, height)[:, :, None] & _within(columns, width)[:, None, :]
    images = torch.arange(n, device=crops.device)[:, None, None]
    moved = crops[images, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]
    return moved * inside[..., None]


def _within(places: Tensor, size: int) -> Tensor:
    return (places >= 0) & (places < size)


def recolour(
    crops: Tensor, brightness: float, contrast: float, saturation: float, generator: torch.Generator
) -> Tensor:
    """With a factor f from [1 - x, 1 + x] a crop and step: brightness f·p; contrast f·p + (1-f)·(the crop's mean grey);
    saturation f·p + (1-f)·(the pixel's grey); each clamped to 0..255, in that order. uint8 (N, H, W, 3)."""
    n = len(crops)
    spread = torch.tensor((brightness, contrast, saturation), device=crops.device)
    factors = 1 + spread * (2 * _uniform((n, 3), generator, crops.device) - 1)
    if not (brightness or contrast or saturation):
        return crops
    luma = torch.tensor(_LUMA, device=crops.device)
    bright, contrasting, saturated = (factor.view(n, 1, 1, 1) for factor in factors.unbind(1))
    pixels = crops.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    pixels.mul_(bright).clamp_(0, 255)  # in place, as all that follows: on a CPU new memory costs more than arithmetic
    grey = (pixels.mean((1, 2)) @ luma).view(n, 1, 1, 1)
    pixels.mul_(contrasting).add_((1 - contrasting) * grey).clamp_(0, 255)
    greys = (pixels @ luma)[..., None]
    pixels.mul_(saturated).add_(greys.mul_(1 - saturated)).clamp_(0, 255)
    return pixels.round_().to(torch.uint8)


def erase(crops: Tensor, settings: AugmentationSettings, generator: torch.Generator, mean: Sequence[float]) -> Tensor:
    """Fills one random box of each chosen crop. uint8 (N, H, W, 3)."""
    n, height, width, _ = crops.shape
    chosen = _uniform((n,), generator, crops.device) < settings.erase
    share = _uniform((n, _ATTEMPTS), generator, crops.device)
    aspect = _uniform((n, _ATTEMPTS), generator, crops.device)
    place = _uniform((n, 2), generator, crops.device)
    smallest, largest = settings.erase_area
    area = height * width * (smallest + share * (largest - smallest))
    aspect = settings.erase_aspect + aspect * (1 / settings.erase_aspect - settings.erase_aspect)
    tall, wide = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (tall < height) & (wide < width)
    first = fits.int().argmax(1, keepdim=True)
    chosen = chosen & fits.any(1)
    tall, wide = tall.gather(1, first), wide.gather(1, first)
    # a draw of float32 times a whole number can round up to that number itself
    top = torch.minimum((place[:, :1] * (height - tall + 1)).floor(), height - tall)
    left = torch.minimum((place[:, 1:] * (width - wide + 1)).floor(), width - wide)
    if settings.erase_fill == "random":
        fill = torch.randint(0, 256, crops.shape, generator=generator, device=generator.device, dtype=torch.uint8)
    else:
        fill = (torch.tensor(mean) * 255).round().to(torch.uint8).expand(crops.shape)
    boxes = torch.cat([top, top + tall, left, left + wide], 1)
    paint = _painted_by_slices if crops.device.type == "cpu" else _painted_by_mask
    return paint(crops, chosen, boxes, fill.to(crops.device))


def _painted_by_slices(crops: Tensor, chosen: Tensor, boxes: Tensor, fill: Tensor) -> Tensor:
    """The box of each chosen crop from `fill`; boxes: whole numbers (N, 4), top, bottom, left, right."""
    out = crops.clone(memory_format=torch.contiguous_format)
    for at in chosen.nonzero()[:, 0].tolist():
        top, bottom, left, right = map(int, boxes[at].tolist())
        out[at, top:bottom, left:right] = fill[at, top:bottom, left:right]
    return out


def _painted_by_mask(crops: Tensor, chosen: Tensor, boxes: Tensor, fill: Tensor) -> Tensor:
    """The same for all crops at once, without the device waiting for anything."""
    _, height, width, _ = crops.shape
    top, bottom, left, right = boxes[..., None].unbind(1)
    rows, columns = torch.arange(height, device=crops.device), torch.arange(width, device=crops.device)
    in_rows = (rows >= top) & (rows < bottom) & chosen[:, None]
    in_columns = (columns >= left) & (columns < right)
    return torch.where((in_rows[:, :, None] & in_columns[:, None, :])[..., None], fill, crops)


def _uniform(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    """float32 in [0, 1)."""
    return torch.rand(shape, generator=generator, device=generator.device).to(device)


def _whole_numbers(shape: tuple[int, ...], count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """int64 from 0 to count - 1."""
    return torch.randint(count, shape, generator=generator, device=generator.device).to(device)
