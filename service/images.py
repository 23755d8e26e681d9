"""Which pictures are taken in, from files and over HTTP alike: everything about them is checked before it is believed.

What a file is called, or is said to be, counts for nothing: its content decides. Its size is read from its header and
checked before a pixel is decoded. Only the pixels of the one picture are used; what else a file carries is not read.
"""

import io
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from models import ImageError, InputSpec, to_crop

# Pillow only warns of pictures of 89 to 179 million pixels. They are refused below in any case.
warnings.simplefilter("error", Image.DecompressionBombWarning)

BadImage = Literal["image-too-large", "image-bomb", "unsupported-media-type", "undecodable-image"]

_STARTS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"BM": "BMP"}
_TAKEN = "JPEG, PNG, WebP and BMP are taken"
# A progressive JPEG has about ten passes. libjpeg makes each over the whole picture, however little it says.
_MOST_PASSES = 100
_PASS = b"\xff\xda"


class BadImageError(ValueError):
    """A picture that is not taken in. kind: as the HTTP service calls the problem."""

    def __init__(self, kind: BadImage, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type["BadImageError"], tuple[BadImage, str]]:
        return BadImageError, (self.kind, str(self))


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """bytes: of the file. pixels: width x height. shortest, longest: each of the two, in pixels."""

    bytes: int = 32 * 2**20
    pixels: int = 2**24
    shortest: int = 16
    longest: int = 8192


LIMITS = ImageLimits()


def open_image(content: bytes, limits: ImageLimits = LIMITS) -> Image.Image:
    """The picture, fully decoded, in the mode that the file has.

    Its EXIF orientation is not applied yet: `models.to_crop` does that.
    """
    check_length(len(content), limits)
    file_format = _format_of(content)
    if file_format == "JPEG" and content.count(_PASS) > _MOST_PASSES:
        raise BadImageError("image-bomb", f"the JPEG has more than {_MOST_PASSES} passes: save it anew")
    try:
        image = Image.open(io.BytesIO(content), formats=(file_format,))
        _check_header(image, limits)
        image.load()
    except BadImageError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise BadImageError("image-bomb", f"the picture has far more than {limits.pixels:,} pixels") from error
    except UnidentifiedImageError as error:
        raise BadImageError("undecodable-image", f"the {file_format} is damaged at its beginning") from error
    except Exception as error:  # Pillow's readers raise whatever they like when a file is damaged
        reason = str(error) or type(error).__name__
        raise BadImageError("undecodable-image", f"the {file_format} cannot be decoded: {reason}") from error
    return image


def open_crop(content: bytes, spec: InputSpec, limits: ImageLimits = LIMITS) -> NDArray[np.uint8]:
    """What a model takes of the picture, uint8 (spec.height, spec.width, 3) RGB, upright."""
    image = open_image(content, limits)
    try:
        return to_crop(image, spec)
    except ImageError as error:
        raise BadImageError("undecodable-image", str(error)) from error


def check_length(length: int, limits: ImageLimits = LIMITS) -> None:
    """Refuses a file by its length, which is known before it is read."""
    if length > limits.bytes:
        raise BadImageError("image-too-large", f"the file has {length:,} bytes: at most {limits.bytes:,} are taken")
    if length == 0:
        raise BadImageError("undecodable-image", "the file is empty")


def _format_of(content: bytes) -> str:
    for start, name in _STARTS.items():
        if content.startswith(start):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    raise BadImageError(
        "unsupported-media-type",
        f"the file begins with {_quoted(content[:12])}, which is no picture of a known kind: {_TAKEN}",
    )


def _quoted(start: bytes) -> str:
    """As text where it is text, else its bytes."""
    text = start.decode("ascii", "replace")
    return repr(text) if text.isprintable() and "\ufffd" not in text else f"the bytes {start.hex(' ')}"


def _check_header(image: Image.Image, limits: ImageLimits) -> None:
    """What is known before anything is decoded."""
    width, height = image.size
    if width * height > limits.pixels:
        raise BadImageError(
            "image-bomb", f"the picture is {width} x {height}: at most {limits.pixels:,} pixels are decoded"
        )
    if max(width, height) > limits.longest:
        raise BadImageError("image-bomb", f"the picture is {width} x {height}: no side may exceed {limits.longest}")
    if min(width, height) < limits.shortest:
        raise BadImageError(
            "undecodable-image", f"the picture is {width} x {height}: nobody is seen on less than {limits.shortest}"
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise BadImageError(
            "unsupported-media-type", f"the file holds {frames} pictures: give one of them, as a file of its own"
        )
