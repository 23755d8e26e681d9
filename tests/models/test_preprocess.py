import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.card import InputSpec
from models.errors import ImageError
from models.preprocess import BACKGROUND, to_crop, to_crops

HEIGHT, WIDTH = 8, 4
Specs = Callable[..., InputSpec]


@pytest.fixture
def spec(make_spec: Specs) -> InputSpec:
    return make_spec(height=HEIGHT, width=WIDTH)


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    """Random RGB of exactly the crop's size, which must come through bit for bit."""
    return np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def as_file(image: Image.Image, kind: str = "PNG", **options: Any) -> Image.Image:
    """The image as somebody would upload it: encoded, and not decoded yet."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Image.open(io.BytesIO(buffer.getvalue()))


def test_a_picture_of_the_right_size_comes_through_bit_for_bit(spec: InputSpec, picture: NDArray[np.uint8]) -> None:
    for image in (picture, Image.fromarray(picture), as_file(Image.fromarray(picture))):
        crop = to_crop(image, spec)
        assert crop.dtype == np.uint8
        assert crop.shape == (HEIGHT, WIDTH, 3)
        assert (crop == picture).all()


@pytest.mark.parametrize("name", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_the_filter_of_the_card_resizes(make_spec: Specs, name: str) -> None:
    large = np.random.default_rng(2).integers(0, 256, (37, 23, 3), dtype=np.uint8)
    expected = Image.fromarray(large).resize((WIDTH, HEIGHT), Image.Resampling[name.upper()])
    crop = to_crop(large, make_spec(height=HEIGHT, width=WIDTH, resize=name))
    assert (crop == np.asarray(expected)).all()


def test_filters_give_different_pixels_so_the_card_matters(make_spec: Specs) -> None:
    large = np.random.default_rng(2).integers(0, 256, (37, 23, 3), dtype=np.uint8)
    crops = [
        to_crop(large, make_spec(height=HEIGHT, width=WIDTH, resize=name)).tobytes() for name in ("bilinear", "bicubic")
    ]
    assert crops[0] != crops[1]


def test_box_averages_whole_blocks(make_spec: Specs) -> None:
    large = np.random.default_rng(3).integers(0, 256, (HEIGHT * 2, WIDTH * 2, 3), dtype=np.uint8)
    blocks = large.reshape(HEIGHT, 2, WIDTH, 2, 3).mean(axis=(1, 3))
    # PIL rounds twice, once after each direction.
    assert np.abs(to_crop(large, make_spec(resize="box")) - blocks).max() <= 1


# What a camera writes when it was held in one of eight ways, and how numpy puts the picture upright again.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied(spec: InputSpec, picture: NDArray[np.uint8], orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = picture if orientation < 5 else picture.transpose(1, 0, 2)
    image = as_file(Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    assert (to_crop(image, spec) == UPRIGHT[orientation](stored)).all()


def test_grey_becomes_three_equal_channels(spec: InputSpec, picture: NDArray[np.uint8]) -> None:
    grey = picture[:, :, 0]
    for image in (grey, grey[:, :, None], Image.fromarray(grey), as_file(Image.fromarray(grey))):
        assert (to_crop(image, spec) == grey[:, :, None]).all()


def test_black_and_white_becomes_0_and_255(spec: InputSpec, picture: NDArray[np.uint8]) -> None:
    bits = picture[:, :, 0] > 127
    assert (to_crop(Image.fromarray(bits), spec) == np.where(bits, 255, 0)[:, :, None]).all()


def composited(colours: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.float64]:
    share = alpha[:, :, None] / 255
    return colours * share + np.array(BACKGROUND) * (1 - share)


def test_transparency_shows_the_stated_background(spec: InputSpec, picture: NDArray[np.uint8]) -> None:
    alpha = np.random.default_rng(4).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    alpha[0] = 0
    rgba = np.dstack([picture, alpha])
    for image in (rgba, Image.fromarray(rgba), as_file(Image.fromarray(rgba))):
        crop = to_crop(image, spec)
        assert np.abs(crop - composited(picture, alpha)).max() <= 1
        assert (crop[0] == BACKGROUND).all()


def test_grey_with_transparency_shows_the_background(spec: InputSpec, picture: NDArray[np.uint8]) -> None:
    grey, alpha = picture[:, :, 0], picture[:, :, 1]
    image = as_file(Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha))))
    assert np.abs(to_crop(image, spec) - composited(np.dstack([grey] * 3), alpha)).max() <= 1


def test_a_palette_is_looked_up(spec: InputSpec, picture: NDArray[np.uint8]) -> None:
    image = Image.fromarray(picture).quantize(16)
    expected = np.asarray(image.convert("RGB"))
    assert (to_crop(as_file(image), spec) == expected).all()


def test_transparent_palette_entries_show_the_background(spec: InputSpec) -> None:
    places = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) % 3
    palette = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    image = Image.frombytes("P", (WIDTH, HEIGHT), places.tobytes())
    image.putpalette([value for colour in palette for value in colour])
    opacity = bytes([255, 0, 128])  # of each entry
    crop = to_crop(as_file(image, transparency=opacity), spec)
    colours = np.array(palette, np.uint8)[places]
    alpha = np.frombuffer(opacity, np.uint8)[places]
    assert np.abs(crop - composited(colours, alpha)).max() <= 1


def test_a_single_transparent_colour_shows_the_background(spec: InputSpec, picture: NDArray[np.uint8]) -> None:
    picture[2, 1] = (1, 2, 3)
    crop = to_crop(as_file(Image.fromarray(picture), transparency=(1, 2, 3)), spec)
    assert tuple(crop[2, 1]) == BACKGROUND
    crop[2, 1] = picture[2, 1]
    assert (crop == picture).all()


def test_cmyk_becomes_rgb(spec: InputSpec, picture: NDArray[np.uint8]) -> None:
    inks = 255 - np.dstack([picture, np.full((HEIGHT, WIDTH), 255, np.uint8)])  # no black ink
    image = as_file(Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes()), "TIFF")
    assert image.mode == "CMYK"
    assert (to_crop(image, spec) == picture).all()


def test_sixteen_bits_are_scaled_and_not_clipped(spec: InputSpec) -> None:
    values = np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    expected = np.round(values / 257).astype(np.uint8)[:, :, None]
    big_endian = Image.frombytes("I;16B", (WIDTH, HEIGHT), values.astype(">u2").tobytes())
    thirty_two = Image.fromarray(values.astype(np.int32))  # how PIL reads 16-bit PGM
    for image in (values, Image.fromarray(values), as_file(Image.fromarray(values)), big_endian, thirty_two):
        assert (to_crop(image, spec) == expected).all()
    assert (expected.min(), expected.max()) == (0, 255)


def test_pixels_without_a_known_white_are_refused(spec: InputSpec) -> None:
    with pytest.raises(ImageError, match="floating-point pixels"):
        to_crop(Image.new("F", (3, 3)), spec)
    with pytest.raises(ImageError, match="grey values from -1 to -1, more than 16 bits"):
        to_crop(Image.new("I", (3, 3), -1), spec)
    with pytest.raises(ImageError, match="grey values from 65536 to 65536"):
        to_crop(Image.new("I", (3, 3), 65536), spec)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((3, 4, 4), np.uint8)[None],
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((4, 4), bool),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_that_are_no_pictures_are_refused(spec: InputSpec, array: NDArray[Any]) -> None:
    with pytest.raises(ImageError, match=rf"an array of {array.dtype} and shape \({array.shape[0]},"):
        to_crop(array, spec)


def test_other_things_and_empty_pictures_are_refused(spec: InputSpec) -> None:
    with pytest.raises(ImageError, match="an image is a PIL image or a numpy array, not str"):
        to_crop("crop.jpg", spec)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="it has no pixels"):
        to_crop(Image.new("RGB", (0, 5)), spec)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_that_is_cut_off_is_a_sentence(spec: InputSpec, kind: str) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(5).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    image = Image.open(io.BytesIO(buffer.getvalue()[: len(buffer.getvalue()) // 2]))
    with pytest.raises(ImageError, match=r"the picture \(RGB, 64 x 64\) cannot be used: "):
        to_crop(image, spec)


def test_the_given_image_is_left_as_it_was(spec: InputSpec) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = as_file(Image.new("RGBA", (11, 7), (1, 2, 3, 4)), exif=exif)
    to_crop(image, spec)
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGBA", (11, 7), (1, 2, 3, 4))
    assert ImageOps.exif_transpose(image).size == (7, 11)


def test_a_batch_is_the_single_crops_in_order(spec: InputSpec) -> None:
    random = np.random.default_rng(6)
    images = [random.integers(0, 256, (20 + i, 10 + i, 3), dtype=np.uint8) for i in range(4)]
    crops = to_crops(iter(images), spec)
    assert len(crops) == 4
    for image, crop in zip(images, crops.pixels, strict=True):
        assert (crop == to_crop(image, spec)).all()


def test_an_empty_batch_has_the_size_of_the_card(spec: InputSpec) -> None:
    assert to_crops([], spec).pixels.shape == (0, HEIGHT, WIDTH, 3)


def test_an_error_in_a_batch_names_the_place(spec: InputSpec, picture: NDArray[np.uint8]) -> None:
    with pytest.raises(ImageError, match="image 1: an array of float64"):
        to_crops([picture, np.zeros((2, 2))], spec)
