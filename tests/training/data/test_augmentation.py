import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from training.data import DataError, augmentation
from training.data.augmentation import AugmentationSettings, augment, erase, flip_and_shift, recolour

MEAN = (0.485, 0.456, 0.406)
MEAN_COLOUR = [124, 116, 104]
NOTHING = AugmentationSettings(flip=0, pad=0, erase=0)
EVERYTHING = AugmentationSettings(brightness=0.3, contrast=0.3, saturation=0.3, erase_fill="random")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(n=8, height=32, width=16, seed=0):
    return torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=seeded(seed))


def shifted(crop, mirrored, down, right):
    """crop uint8 (H, W, 3), mirrored or not, so that out[y, x] was at (y + down, x + right); black from outside."""
    height, width, _ = crop.shape
    out = np.zeros_like(crop)
    for y in range(height):
        for x in range(width):
            from_y, from_x = y + down, (width - 1 - x if mirrored else x) + right
            if 0 <= from_y < height and 0 <= from_x < width:
                out[y, x] = crop[from_y, from_x]
    return out


def test_nothing_asked_changes_nothing_and_leaves_the_batch_alone():
    crops = noise()
    before = crops.clone()
    assert torch.equal(augment(crops, NOTHING, seeded(), MEAN), before)
    augment(crops, EVERYTHING, seeded(), MEAN)
    assert torch.equal(crops, before)


def test_the_generator_alone_decides():
    crops = noise()
    first = augment(crops, EVERYTHING, seeded(3), MEAN)
    assert first.dtype == torch.uint8
    assert first.shape == crops.shape
    torch.manual_seed(99)
    assert torch.equal(augment(crops, EVERYTHING, seeded(3), MEAN), first)
    assert not torch.equal(augment(crops, EVERYTHING, seeded(4), MEAN), first)


@pytest.mark.parametrize("asked", [NOTHING, replace(EVERYTHING, erase_fill="mean")])
def test_every_call_draws_equally_much(asked):
    generator, other = seeded(), seeded()
    augment(noise(), asked, generator, MEAN)
    augment(noise(seed=1), AugmentationSettings(), other, MEAN)
    assert torch.equal(generator.get_state(), other.get_state())


def test_each_crop_of_a_batch_goes_its_own_way():
    crops = noise(1).expand(64, -1, -1, -1)
    for changed in (
        flip_and_shift(crops, 0.5, 3, seeded()),
        recolour(crops, 0.2, 0.2, 0.2, seeded()),
        erase(crops, AugmentationSettings(erase=1), seeded(), MEAN),
    ):
        assert len({crop.numpy().tobytes() for crop in changed}) > 20


@settings(deadline=None, max_examples=20)
@given(height=st.integers(2, 9), width=st.integers(2, 9), pad=st.integers(0, 4), seed=st.integers(0, 1000))
def test_mirroring_and_shifting_are_one_of_the_literal_ones(height, width, pad, seed):
    crop = noise(1, height, width, seed)
    out = flip_and_shift(crop, 0.5, pad, seeded(seed))[0].numpy()
    possible = [
        shifted(crop[0].numpy(), mirrored, down, right)
        for mirrored in (False, True)
        for down in range(-pad, pad + 1)
        for right in range(-pad, pad + 1)
    ]
    assert any(np.array_equal(out, candidate) for candidate in possible)


@settings(deadline=None, max_examples=30)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    moves=st.lists(st.tuples(st.booleans(), st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=6),
)
@example(height=3, width=3, moves=[(False, -4, 0), (False, 4, 0), (True, 1, 2)])  # shifted out of sight
def test_crop_by_crop_and_all_at_once_move_alike(height, width, moves):
    crops = noise(len(moves), height, width)
    columns = [torch.tensor(column) for column in zip(*moves, strict=True)]
    by_slices, by_index = (
        move(crops, *columns) for move in (augmentation._moved_by_slices, augmentation._moved_by_index)
    )
    assert torch.equal(by_slices, by_index)
    wanted = [shifted(crop.numpy(), *each) for crop, each in zip(crops, moves, strict=True)]
    np.testing.assert_array_equal(by_slices.numpy(), np.stack(wanted))


def test_every_shift_and_either_side_come_equally_often():
    crop = noise(1, 7, 5)
    out = flip_and_shift(crop.expand(9000, -1, -1, -1), 0.25, 1, seeded())
    assert torch.equal(flip_and_shift(crop, 0, 0, seeded()), crop)
    assert torch.equal(flip_and_shift(crop, 1, 0, seeded()), crop.flip(2))
    for mirrored, share in ((False, 0.75), (True, 0.25)):
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                wanted = torch.from_numpy(shifted(crop[0].numpy(), mirrored, down, right))
                found = int((out == wanted).flatten(1).all(1).sum())
                assert abs(found - 9000 * share / 9) < 5 * math.sqrt(9000 * share / 9)


def grey(pixel):
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]


def recoloured(crop, brightness, contrast, saturation):
    """The three steps, pixel by pixel."""
    clamp = lambda value: min(255.0, max(0.0, value))  # noqa: E731
    pixels = [[clamp(brightness * c) for c in pixel] for pixel in crop.reshape(-1, 3).tolist()]
    middle = sum(grey(pixel) for pixel in pixels) / len(pixels)
    pixels = [[clamp(contrast * c + (1 - contrast) * middle) for c in pixel] for pixel in pixels]
    pixels = [[clamp(saturation * c + (1 - saturation) * grey(pixel)) for c in pixel] for pixel in pixels]
    return np.array(pixels).reshape(crop.shape)


def test_recolouring_is_brightness_then_contrast_then_saturation():
    crops = noise(16, 6, 4)
    out = recolour(crops, 0.5, 0.4, 0.9, seeded(7))
    draws = torch.rand((16, 3), generator=seeded(7)).tolist()
    for crop, changed, (b, c, s) in zip(crops, out, draws, strict=True):
        wanted = recoloured(crop.numpy(), 1 + 0.5 * (2 * b - 1), 1 + 0.4 * (2 * c - 1), 1 + 0.9 * (2 * s - 1))
        assert np.abs(changed.numpy() - wanted).max() <= 0.5 + 1e-3


def boxes(crops, out):
    """Of each crop that changed: top, left, height and width of what did, and whether it is one full box."""
    for crop, changed in zip(crops, out, strict=True):
        where = (crop != changed).any(2)
        if where.any():
            rows, columns = where.any(1).nonzero()[:, 0], where.any(0).nonzero()[:, 0]
            top, left = int(rows[0]), int(columns[0])
            height, width = int(rows[-1]) - top + 1, int(columns[-1]) - left + 1
            yield top, left, height, width, int(where.sum()) == height * width


def test_one_box_of_the_asked_area_and_shape_is_erased_anywhere():
    height, width = 64, 32
    crops = torch.zeros((4000, height, width, 3), dtype=torch.uint8)
    found = list(boxes(crops, erase(crops, AugmentationSettings(erase=1), seeded(), MEAN)))
    assert len(found) == 4000
    assert all(full for *_, full in found)
    assert all(0.7 * 0.02 <= h * w / (height * width) <= 1.1 * 0.4 for _, _, h, w, _ in found)
    large = [(h, w) for _, _, h, w, _ in found if h * w > 100]  # a box of few pixels is coarse
    assert all(0.3 * 0.8 <= h / w <= 1.25 / 0.3 for h, w in large)
    assert min(h / w for h, w in large) < 0.4
    assert max(h / w for h, w in large) > 2.5
    assert {top for top, *_ in found} >= set(range(50))
    assert {left for _, left, *_ in found} >= set(range(25))
    assert any(top + h == height for top, _, h, _, _ in found)
    assert any(left + w == width for _, left, _, w, _ in found)


def erased(crop, chosen, shares, aspects, place, settings):
    """The paper's algorithm for one crop: try boxes until one fits, then paint it."""
    out = crop.clone()
    height, width, _ = crop.shape
    smallest, largest = settings.erase_area
    for share, aspect in zip(shares, aspects, strict=True):
        area = (smallest + share * (largest - smallest)) * height * width
        ratio = settings.erase_aspect + aspect * (1 / settings.erase_aspect - settings.erase_aspect)
        tall, wide = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if tall < height and wide < width:
            top, left = int(place[0] * (height - tall + 1)), int(place[1] * (width - wide + 1))
            if chosen:
                out[top : top + tall, left : left + wide] = torch.tensor(MEAN_COLOUR, dtype=torch.uint8)
            return out
    return out


def test_erasing_is_the_literal_algorithm_for_every_crop():
    crops = noise(200, 20, 12)
    asked = AugmentationSettings(erase=0.5)
    out = erase(crops, asked, seeded(11), MEAN)
    generator = seeded(11)
    chances = torch.rand(200, generator=generator).tolist()
    shares, aspects = (torch.rand((200, 100), generator=generator).tolist() for _ in range(2))
    places = torch.rand((200, 2), generator=generator).tolist()
    for at, crop in enumerate(crops):
        assert torch.equal(out[at], erased(crop, chances[at] < 0.5, shares[at], aspects[at], places[at], asked))


def test_crop_by_crop_and_all_at_once_paint_alike(monkeypatch):
    crops = noise(200, 20, 12)
    for fill in ("mean", "random"):
        asked = AugmentationSettings(erase=0.7, erase_fill=fill)
        by_slices = erase(crops, asked, seeded(2), MEAN)
        with monkeypatch.context() as patch:
            patch.setattr(augmentation, "_painted_by_slices", augmentation._painted_by_mask)
            assert torch.equal(erase(crops, asked, seeded(2), MEAN), by_slices)
        assert not torch.equal(by_slices, crops)


def test_the_box_is_filled_with_the_mean_or_with_noise():
    crops = torch.zeros((50, 32, 16, 3), dtype=torch.uint8)
    mean = erase(crops, AugmentationSettings(erase=1), seeded(), MEAN)
    assert {tuple(pixel) for pixel in mean.flatten(0, 2).tolist()} == {(0, 0, 0), tuple(MEAN_COLOUR)}
    random = erase(crops, AugmentationSettings(erase=1, erase_fill="random"), seeded(), MEAN)
    assert len(set(random.flatten().tolist())) == 256


def test_crops_are_erased_as_often_as_asked():
    crops = torch.zeros((2000, 16, 8, 3), dtype=torch.uint8)
    for chance in (0.0, 0.3, 1.0):
        changed = len(list(boxes(crops, erase(crops, AugmentationSettings(erase=chance), seeded(), MEAN))))
        assert abs(changed - 2000 * chance) <= 5 * math.sqrt(2000 * chance * (1 - chance))


def test_a_crop_in_which_no_box_fits_stays_whole():
    crops = torch.zeros((20, 2, 40, 3), dtype=torch.uint8)
    tall = AugmentationSettings(erase=1, erase_area=(0.5, 0.6), erase_aspect=1)
    assert torch.equal(erase(crops, tall, seeded(), MEAN), crops)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"flip": 1.5}, "flip is 1.5: give a number from 0 to 1"),
        ({"saturation": -0.1}, "saturation is -0.1"),
        ({"pad": -1}, "pad is -1"),
        ({"pad": 1.5}, "pad is 1.5"),
        ({"erase_area": (0.4, 0.02)}, "the smaller first"),
        ({"erase_area": (0.1,)}, "give two shares"),
        ({"erase_aspect": 0}, "erase_aspect is 0"),
        ({"erase_fill": "black"}, "choose mean or random"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(wrong, sentence):
    with pytest.raises(DataError, match=sentence):
        AugmentationSettings(**wrong)


@pytest.mark.parametrize("crops", [torch.zeros(2, 8, 4, 3), torch.zeros((2, 3, 8, 4), dtype=torch.uint8)])
def test_only_a_batch_as_the_cache_holds_it_is_changed(crops):
    with pytest.raises(DataError, match=r"uint8 \(N, H, W, 3\), not torch"):
        augment(crops, NOTHING, seeded(), MEAN)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device to compare with the CPU")
def test_a_generator_on_the_cpu_gives_the_same_batch_on_the_gpu():
    crops = noise(32)
    asked = replace(EVERYTHING, brightness=0, contrast=0, saturation=0)
    on_gpu = augment(crops.cuda(), asked, seeded(5), MEAN)
    assert on_gpu.is_cuda
    assert torch.equal(on_gpu.cpu(), augment(crops, asked, seeded(5), MEAN))
    coloured = augment(crops.cuda(), EVERYTHING, seeded(5), MEAN).cpu().int()
    assert (coloured - augment(crops, EVERYTHING, seeded(5), MEAN).int()).abs().max() <= 1
