"""Crops that a command is given as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def read_crop(path: Path) -> bytes:
    """The file's content; what is wrong with it is told with its path."""
    from service.images import BadImageError, check_length

    try:
        check_length(path.stat().st_size)
        return path.read_bytes()
    except BadImageError as error:
        raise BadImageError(error.kind, f"{path}: {error}") from error
    except OSError as error:
        raise BadImageError("undecodable-image", f"{path} cannot be read: {error.strerror}") from error


def open_crop(path: Path) -> Image.Image:
    from service.images import BadImageError, open_image

    content = read_crop(path)
    try:
        return open_image(content)
    except BadImageError as error:
        raise BadImageError(error.kind, f"{path}: {error}") from error
