"""What `service.images` takes in and what it refuses."""

import io
import pickle
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from models import InputSpec, to_crop
from service.images import BadImageError, ImageLimits, check_length, open_crop, open_image

SPEC = InputSpec(name="crops", height=32, width=16, resize="bilinear", layout="NHWC", dtype="uint8", colour="RGB")
PIXELS = np.random.default_rng(0).integers(0, 256, (64, 32, 3), dtype=np.uint8)


def encoded(form, image=None, **options):
    target = io.BytesIO()
    (Image.fromarray(PIXELS) if image is None else image).save(target, form, **options)
    return target.getvalue()


def png(width, height, body=b"", bits=8, colour=2):
    """A PNG whose header says anything."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def refusal(content, **options):
    with pytest.raises(BadImageError) as refused:
        open_image(content, **options)
    assert str(refused.value)
    return refused.value.kind


WAYS = [
    ("JPEG", {"quality": 95}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("BMP", {}),
]


@pytest.mark.parametrize(("form", "options"), WAYS)
def test_a_picture_of_each_kind_comes_through_as_pillow_decodes_it(form, options):
    content = encoded(form, **options)
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(open_crop(content, SPEC), to_crop(image, SPEC))


@pytest.mark.parametrize(("form", "options"), WAYS)
def test_a_picture_cut_off_anywhere_in_its_pixels_is_refused(form, options):
    content = encoded(form, **options)
    spare = 20 if form == "PNG" else 0  # what follows its last pixel: a checksum, the end of a chunk, an empty chunk
    for length in [*range(40), *range(40, len(content) - spare, 61), len(content) - spare - 1]:
        assert refusal(content[:length]) in ("undecodable-image", "unsupported-media-type")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "undecodable-image"),
        (b"\0" * 100, "unsupported-media-type"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported-media-type"),
        (b"<html><script>alert(1)</script></html>", "unsupported-media-type"),
        (b"%PDF-1.7", "unsupported-media-type"),
        (b"#!/bin/sh\n", "unsupported-media-type"),
        (b"\xff\xd8\xff\xe0 no more", "undecodable-image"),
        (b"\x89PNG\r\n\x1a\n no more", "undecodable-image"),
        (b"RIFF\0\0\0\0WEBP no more", "undecodable-image"),
        (b"BM no more", "undecodable-image"),
    ],
)
def test_what_is_no_picture_is_refused(content, kind):
    assert refusal(content) == kind


@pytest.mark.parametrize("form", ["GIF", "TIFF", "PPM", "ICO", "TGA", "JPEG2000"])
def test_kinds_that_are_not_on_the_list_are_refused_however_well_they_decode(form):
    assert refusal(encoded(form)) == "unsupported-media-type"


@pytest.mark.parametrize("form", ["PNG", "WEBP", "MPO"])
def test_several_pictures_in_one_file_are_refused(form):
    other = Image.fromarray(PIXELS[::-1].copy())
    assert refusal(encoded(form, save_all=True, append_images=[other])) == "unsupported-media-type"


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        ((1, 1), "undecodable-image"),
        ((15, 100), "undecodable-image"),
        ((100, 15), "undecodable-image"),
        ((8193, 16), "image-bomb"),
        ((16, 8193), "image-bomb"),
        ((4097, 4096), "image-bomb"),
        ((10_000, 10_000), "image-bomb"),
        ((30_000, 30_000), "image-bomb"),
        ((2**31 - 1, 2**31 - 1), "image-bomb"),
    ],
)
def test_the_size_in_the_header_decides_before_anything_is_decoded(size, kind):
    width, height = size
    whole = width * height < 10_000  # then it would decode
    content = png(width, height, (b"\0" * (3 * width + 1)) * height if whole else b"")
    assert refusal(content) == kind


def test_the_smallest_and_the_largest_size_are_taken():
    assert open_image(png(16, 16, b"\0" * (16 * 3 + 1) * 16)).size == (16, 16)
    assert open_image(png(8192, 16, b"\0" * (8192 * 3 + 1) * 16)).size == (8192, 16)


def test_a_file_is_refused_by_its_length():
    content = encoded("PNG")
    assert refusal(content, limits=ImageLimits(bytes=len(content) - 1)) == "image-too-large"
    open_image(content, ImageLimits(bytes=len(content)))
    with pytest.raises(BadImageError, match="33,554,433 bytes"):
        check_length(2**25 + 1)


def test_a_jpeg_of_endless_passes_is_a_bomb():
    content = encoded("JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    repeated = content[:last] + content[last:-2] * 200 + b"\xff\xd9"
    assert refusal(repeated) == "image-bomb"


def test_compressed_text_in_a_png_is_no_way_to_fill_the_memory():
    packed = zlib.compress(b"x" * 50_000_000, 9)
    content = png(32, 32, b"\0" * 97 * 32)
    chunk = b"zTXt" + b"a\0\0" + packed
    content = (
        content[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
    )
    assert refusal(content) == "undecodable-image"


def test_pixels_alone_count_in_a_file_that_is_also_something_else():
    content = encoded("JPEG")
    archive = io.BytesIO(content)
    archive.seek(0, io.SEEK_END)
    with zipfile.ZipFile(archive, "a") as added:
        added.writestr("index.html", "<script>")
    np.testing.assert_array_equal(open_crop(archive.getvalue(), SPEC), open_crop(content, SPEC))
    assert refusal(b"<script></script>" + content) == "unsupported-media-type"
    assert refusal(b"GIF89a" + content) == "unsupported-media-type"


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "I;16", "CMYK"])
def test_every_mode_becomes_a_crop(mode):
    image = Image.fromarray(PIXELS).convert("I" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image, np.uint16) * 257)
    content = encoded("JPEG" if mode == "CMYK" else "PNG", image)
    crop = open_crop(content, SPEC)
    assert (crop.shape, crop.dtype) == ((32, 16, 3), np.uint8)
    assert 20 < crop.mean() < 235  # neither black nor white


def test_cmyk_has_the_colours_of_the_picture():
    red = Image.new("RGB", (32, 64), (200, 30, 30)).convert("CMYK")
    crop = open_crop(encoded("JPEG", red, quality=95), SPEC)
    assert crop[..., 0].mean() > 150
    assert crop[..., 1].mean() < 80


def test_sixteen_bits_of_colour_are_taken():
    body = (b"\0" + b"\x80\x00" * 3 * 32) * 32
    assert abs(int(open_crop(png(32, 32, body, bits=16), SPEC).mean()) - 128) <= 1


def test_the_orientation_in_the_file_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by a quarter to see it upright
    content = encoded("PNG", exif=exif)
    upright = Image.fromarray(np.rot90(PIXELS, -1).copy())
    np.testing.assert_array_equal(open_crop(content, SPEC), to_crop(upright, SPEC))


def test_a_refusal_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(BadImageError("image-bomb", "too many")))
    assert (error.kind, str(error)) == ("image-bomb", "too many")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"# Notes of a day", "'# Notes of a'"),
        (b"\x7fELF\x02\x01", "the bytes 7f 45 4c 46 02 01"),
        (b"\xff\n", "the bytes ff 0a"),
    ],
)
def test_how_a_file_that_is_no_picture_begins_is_told_as_people_write_it(content, told):
    with pytest.raises(BadImageError, match=f"the file begins with {told}, which is no picture"):
        open_image(content)
