"""What is kept of a picture's file: the picture."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from models import ZOO, Bundle
from service import stripping
from service.images import open_crop
from service.stripping import without_metadata

SPEC = Bundle.open(ZOO / "synthetic-tiny").card.input
SECRETS = [b"ACME Phone", b"Heinrich", b"Exif", b"51 deg", b"a comment", b"<x:xmpmeta"]


def noise(mode="RGB", size=(48, 96)):
    channels = {"RGB": 3, "RGBA": 4, "CMYK": 4, "L": 1}[mode]
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze(), mode)


def exif_of(orientation=1):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "ACME Phone"
    exif[ExifTags.Base.Artist] = "Heinrich"
    exif[ExifTags.Base.Orientation] = orientation
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef] = "51 deg N"
    gps[ExifTags.GPS.GPSLatitude] = (51.0, 30.0, 12.0)
    return exif.tobytes()


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png_text():
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "Heinrich")
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>", zip=False)
    return text


def with_thumbnail(jpeg):
    """A JFIF header that brings a picture of its own, 2 x 2."""
    head = b"\xff\xe0" + struct.pack(">H", 16 + 12) + b"JFIF\0\x01\x02\0\0\x01\0\x01\x02\x02" + b"Heinrich1234"
    return jpeg[:2] + head + jpeg[20:]


def tall():
    return noise(size=(64, 96))


TOLD = {
    "jpeg": saved(noise(), "JPEG", exif=exif_of(), comment=b"a comment"),
    "progressive jpeg": saved(noise(), "JPEG", exif=exif_of(), progressive=True),
    "cmyk jpeg": saved(noise("CMYK"), "JPEG", exif=exif_of()),
    "jpeg with restarts": saved(noise(), "JPEG", exif=exif_of(), restart_marker_blocks=1),
    "jpeg with xmp": saved(noise(), "JPEG", xmp=b"<x:xmpmeta/>"),
    "jpeg with a thumbnail": with_thumbnail(saved(noise(), "JPEG")),
    "jpeg with something behind": saved(noise(), "JPEG") + b"Heinrich, ACME Phone",
    "png": saved(noise(), "PNG", exif=exif_of(), pnginfo=png_text()),
    "transparent png": saved(noise("RGBA"), "PNG", exif=exif_of(), pnginfo=png_text()),
    "png with something behind": saved(noise(), "PNG") + b"Heinrich",
    "webp": saved(noise(), "WEBP", exif=exif_of(), xmp=b"<x:xmpmeta/>"),
    "lossless webp": saved(noise("RGBA"), "WEBP", exif=exif_of(), lossless=True),
    "bmp with something behind": saved(noise(), "BMP") + b"Heinrich",
}
PLAIN = {
    "jpeg": saved(noise(), "JPEG"),
    "progressive jpeg": saved(noise(), "JPEG", progressive=True, quality=30),
    "cmyk jpeg": saved(noise("CMYK"), "JPEG"),
    "grey jpeg": saved(noise("L"), "JPEG"),
    "png": saved(noise(), "PNG"),
    "png with a palette": saved(noise().quantize(16), "PNG"),
    "webp": saved(noise(), "WEBP"),
    "transparent webp": saved(noise("RGBA"), "WEBP"),
    "bmp": saved(noise(), "BMP"),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_a_file_says_beside_its_picture_is_gone_and_the_picture_is_the_same(name):
    content = TOLD[name]
    assert any(secret in content for secret in SECRETS)
    stripped = without_metadata(content)
    assert not [secret for secret in SECRETS if secret in stripped]
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(stripped)) as after:
        assert not after.getexif()
        assert (before.format, before.mode, before.size) == (after.format, after.mode, after.size)
        assert before.tobytes() == after.tobytes()
    assert without_metadata(stripped) == stripped


@pytest.mark.parametrize("name", PLAIN)
def test_a_file_that_says_nothing_else_stays_as_it_is(name):
    assert without_metadata(PLAIN[name]) == PLAIN[name]


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_lies_on_its_side_is_kept_upright(form, orientation):
    smooth = tall().resize((8, 12)).resize((64, 96))  # what JPEG hardly changes
    content = saved(smooth, form, exif=exif_of(orientation), **({"lossless": True} if form == "WEBP" else {}))
    stripped = without_metadata(content)
    assert not [secret for secret in SECRETS if secret in stripped]
    with Image.open(io.BytesIO(stripped)) as after:
        assert (after.format, after.getexif().get(ExifTags.Base.Orientation)) == (form, None)
    before, after = (open_crop(each, SPEC).astype(int) for each in (content, stripped))
    assert np.abs(before - after).mean() < (3 if form == "JPEG" else 1e-9)
    assert without_metadata(stripped) == stripped


def test_a_png_of_unusual_chunks_and_a_jpeg_of_unusual_filling_lose_what_they_say():
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    plain = PLAIN["png"]
    assert without_metadata(plain[:33] + chunk(b"prIv", b"Heinrich") + plain[33:]) == plain
    jpeg = PLAIN["jpeg"]
    filled = jpeg[:2] + b"\xff\xff\xff\xfe\x00\x0aHeinrich" + jpeg[2:]
    assert b"Heinrich" not in without_metadata(filled)


def test_a_file_that_is_laid_out_otherwise_is_encoded_anew(monkeypatch):
    def unusual(content):
        raise stripping._UnusualError

    monkeypatch.setattr(stripping, "_jpeg", unusual)
    stripped = without_metadata(TOLD["jpeg"])
    assert b"Heinrich" not in stripped
    with Image.open(io.BytesIO(stripped)) as image:
        assert image.format == "JPEG"
