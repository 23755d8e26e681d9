"""A picture's file without what it says of where, when and with what it was taken: only the picture is kept.

Pixels stay as they are, bit for bit: parts of the file are left out, and nothing is encoded anew. Only a picture whose
metadata turn it is encoded anew, upright; without them it would lie on its side. What has nothing to be left out comes
back as it is, so that its hash stays.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator

from PIL import ExifTags, Image, ImageOps

_UPRIGHT = 1
_JPEG_QUALITY = 95
# Of JPEG: its header, Adobe's word on colours, and what decoding needs. Everything else is by or about somebody.
_JFIF, _ADOBE = 0xE0, 0xEE
_JPEG_DROPPED = {*range(0xE0, 0xF0), 0xFE}
_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length
_SCAN, _END = 0xDA, 0xD9
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_PNG_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT"}
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH"}
_WEBP_FLAGS = 0b00010010  # of VP8X: transparent, animated. Not: ICC profile, EXIF, XMP


class _UnusualError(Exception):
    """The file is not laid out as its format says, though it can be decoded."""


def without_metadata(content: bytes) -> bytes:
    """content: a picture that was taken in (`service.images.open_image`), JPEG, PNG, WebP or BMP."""
    try:
        if content.startswith(b"\xff\xd8"):
            stripped = b"".join(_jpeg(content))
        elif content.startswith(_PNG_HEAD):
            stripped = b"".join(_png(content))
        elif content[:4] == b"RIFF":
            stripped = _webp(content)
        else:
            return _encoded_anew(content)
    except (_UnusualError, struct.error, IndexError):
        return _encoded_anew(content)
    return stripped if stripped == content or not _turned(content) else _encoded_anew(content)


def _turned(content: bytes) -> bool:
    """Whether the metadata say that the picture is to be turned."""
    with Image.open(io.BytesIO(content)) as image:
        return bool(image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) != _UPRIGHT)


def _encoded_anew(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content)) as image:
        form = image.format
        upright = ImageOps.exif_transpose(image)
    bare = Image.frombytes(upright.mode, upright.size, upright.tobytes())  # takes no `info` along
    if upright.mode == "P":
        bare.putpalette(upright.getpalette("RGBA") or (), "RGBA")
    file = io.BytesIO()
    if form == "JPEG":
        bare.save(file, form, quality=_JPEG_QUALITY)
    elif form == "WEBP":
        bare.save(file, form, lossless=True)
    else:
        bare.save(file, form)
    return file.getvalue()


def _jpeg(content: bytes) -> Iterator[bytes]:
    yield content[:2]
    at = 2
    while True:
        start = at
        if content[at] != 0xFF:
            raise _UnusualError
        while content[at] == 0xFF:
            at += 1
        marker = content[at]
        at += 1
        if marker == _END:
            yield content[start:at]
            return
        if marker not in _ALONE:
            (length,) = struct.unpack_from(">H", content, at)
            at += length
        if marker == _SCAN:
            following = _NEXT_MARKER.search(content, at)
            if following is None:
                raise _UnusualError
            at = following.start()
        segment = content[start:at]
        if marker == _JFIF and segment[4:9] == b"JFIF\0":
            yield _without_thumbnail(segment)
        elif marker not in _JPEG_DROPPED or (marker == _ADOBE and segment[4:9] == b"Adobe"):
            yield segment


def _without_thumbnail(jfif: bytes) -> bytes:
    """It may show more than the picture does."""
    if jfif[16:18] == b"\0\0" and len(jfif) == 18:
        return jfif
    return jfif[:2] + struct.pack(">H", 16) + jfif[4:16] + b"\0\0"


def _png(content: bytes) -> Iterator[bytes]:
    yield _PNG_HEAD
    at, kind = len(_PNG_HEAD), b""
    while kind != b"IEND":
        (length,) = struct.unpack_from(">I", content, at)
        kind, end = content[at + 4 : at + 8], at + 12 + length
        if end > len(content):
            raise _UnusualError
        if kind in _PNG_KEPT:
            yield content[at:end]
        at = end


def _webp(content: bytes) -> bytes:
    (size,) = struct.unpack_from("<I", content, 4)
    parts = [content[8:12]]
    at, end = 12, min(8 + size, len(content))
    while at + 8 <= end:
        kind, (length,) = content[at : at + 4], struct.unpack_from("<I", content, at + 4)
        after = at + 8 + length + length % 2
        if at + 8 + length > len(content):
            raise _UnusualError
        if kind == b"VP8X":
            flags = content[at + 8] & _WEBP_FLAGS
            parts.append(content[at : at + 8] + bytes([flags]) + content[at + 9 : after])
        elif kind in _WEBP_KEPT:
            parts.append(content[at:after])
        at = after
    body = b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body
