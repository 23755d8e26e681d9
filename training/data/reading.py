"""From a picture's record to its crop, by the one preprocessing."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from models import ImageError, InputSpec, to_crop
from training.data.dataset import Picture, Rendering
from training.data.errors import PictureError
from training.data.synthetic import render


def read_crop(picture: Picture, spec: InputSpec) -> NDArray[np.uint8]:
    """uint8 (spec.height, spec.width, 3) RGB; a file that cannot be read is a PictureError that names it."""
    if isinstance(picture.source, Rendering):
        return to_crop(render(picture.source.spec, picture.source.crop), spec)
    try:
        with Image.open(picture.source) as image:
            return to_crop(image, spec)
    except ImageError as error:
        raise PictureError(f"{picture.source}: {error}") from error
    except Exception as error:  # PIL's readers raise whatever they like when a header is damaged
        raise PictureError(f"{picture.source}: {_reason(error)}") from error


def open_picture(picture: Picture) -> Image.Image:
    """The picture in its own size, RGB and fully decoded."""
    if isinstance(picture.source, Rendering):
        return Image.fromarray(render(picture.source.spec, picture.source.crop))
    try:
        with Image.open(picture.source) as image:
            return image.convert("RGB")
    except Exception as error:
        raise PictureError(f"{picture.source}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "this is not a picture in any known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
