"""Pictures inside the page: small, and as text."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data import Picture, PictureError, open_picture

HEIGHT, WIDTH = 128, 64


def thumbnail(picture: Picture) -> str | None:
    """A data address of the picture as JPEG, scaled to fit 128 x 64; None where it cannot be read."""
    try:
        image = open_picture(picture)
    except PictureError:
        return None
    scale = min(HEIGHT / image.height, WIDTH / image.width)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    return _encoded(image, "JPEG", quality=82)


def crop_address(crop: NDArray[np.uint8]) -> str:
    """A data address of a crop, uint8 (H, W, 3), as PNG."""
    return _encoded(Image.fromarray(crop), "PNG")


def _encoded(image: Image.Image, kind: str, **options: int) -> str:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(target.getvalue()).decode('ascii')}"
