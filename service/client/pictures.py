"""Pictures as a caller has them: their bytes, a path, or a file that is open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from service.client.calls import Part
from service.client.errors import BadCallError

Picture = bytes | str | os.PathLike[str] | BinaryIO
"""The content of a picture's file, the path of one, or one that is open for reading bytes. A `str` is a path."""


def content_of(picture: Picture) -> bytes:
    """Raises OSError where a file cannot be read."""
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, str | os.PathLike):
        return Path(picture).read_bytes()
    content = picture.read()
    if not isinstance(content, bytes):
        raise BadCallError("the picture's file was opened as text: open it with mode 'rb'")
    return content


def picture_part(picture: Picture) -> Part:
    return ("image", ("image", content_of(picture), "application/octet-stream"))
