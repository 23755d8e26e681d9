"""The one way from a picture to a crop. Training, evaluation, indexing and serving all call it.

Resizing stays outside the graph because exported resizes differ between runtimes, and inside this one function because
two pieces of code that resize do not give the same bits.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.card import InputSpec
from models.crops import Crops
from models.errors import ImageError

BACKGROUND = (128, 128, 128)
"""What shows through transparent pixels, RGB. Grey, because most networks normalise it to about nothing."""

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def to_crop(image: Image.Image | NDArray[Any], spec: InputSpec) -> NDArray[np.uint8]:
    """Turn a picture into what the model takes: uint8 (spec.height, spec.width, 3), RGB, the caller's own.

    image: a PIL image of any mode with 8 or 16 bits a channel, whose EXIF orientation is applied and whose transparent
        parts become `BACKGROUND`; or an array, uint8 (H, W, 3) RGB, (H, W, 4) RGBA, (H, W) or (H, W, 1) grey, or uint16
        (H, W) grey.
    """
    if isinstance(image, np.ndarray):
        image = _from_array(image)
    elif not isinstance(image, Image.Image):
        raise ImageError(f"an image is a PIL image or a numpy array, not {type(image).__name__}")
    try:
        rgb = _to_rgb(ImageOps.exif_transpose(image))
        # The size is compared by PIL: a picture that already has it comes through bit for bit.
        return np.array(rgb.resize((spec.width, spec.height), _FILTERS[spec.resize]))
    except ImageError:
        raise
    except Exception as error:  # decoding is lazy, so it happens here, and PIL's decoders raise whatever they like
        reason = str(error) or type(error).__name__
        raise ImageError(
            f"the picture ({image.mode}, {image.width} x {image.height}) cannot be used: {reason}"
        ) from error


def to_crops(images: Iterable[Image.Image | NDArray[Any]], spec: InputSpec) -> Crops:
    """`to_crop` of each image, as one batch in the same order. An error names the place of the image, from 0."""
    crops = []
    for place, image in enumerate(images):
        try:
            crops.append(to_crop(image, spec))
        except ImageError as error:
            raise ImageError(f"image {place}: {error}") from error
    if not crops:
        return Crops(np.empty((0, spec.height, spec.width, 3), np.uint8))
    return Crops.stack(crops)


def _from_array(array: NDArray[Any]) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    grey = array.ndim == 2
    coloured = array.ndim == 3 and array.shape[2] in (3, 4)
    if 0 in array.shape or not (
        (array.dtype == np.uint8 and (grey or coloured)) or (array.dtype == np.uint16 and grey)
    ):
        raise ImageError(
            f"an array of {array.dtype} and shape {array.shape} is not a picture: give uint8 (H, W), (H, W, 3) RGB or "
            "(H, W, 4) RGBA, or uint16 (H, W), none of them empty"
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _to_rgb(image: Image.Image) -> Image.Image:
    if 0 in image.size:
        raise ImageError(f"the picture is {image.width} x {image.height}: it has no pixels")
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_sixteen_bits(image)
    if image.mode == "F":
        raise ImageError(
            "the picture has floating-point pixels (mode F), whose white is not known: convert it to 8 bits"
        )
    if image.has_transparency_data:
        # By way of RGBA, which also holds for palettes and for a single colour that is declared transparent.
        background = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        return Image.alpha_composite(background, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits: 65535 becomes 255. PIL's own conversion clips at 255 and makes such pictures white."""
    values = np.asarray(image).astype(np.int64)  # PIL reads some 16-bit formats into 32 bits (mode I)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(
            f"the picture has grey values from {values.min()} to {values.max()}, more than 16 bits: "
            "convert it to 8 bits"
        )
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
