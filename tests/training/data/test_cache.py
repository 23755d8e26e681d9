import json
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from models import to_crop
from training.data import CacheError, Split, load_dataset, open_cache, read_crop, reading_ahead
from training.data import cache as cache_module
from training.data.synthetic import render


@pytest.fixture
def train(make_market):
    return load_dataset(f"market1501:{make_market()}").train


@pytest.fixture
def place(tmp_path):
    return tmp_path / "caches"


@pytest.fixture
def no_decoding(monkeypatch):
    def forbid():
        def refuse(*_arguments):
            raise AssertionError("decoded again")

        for module in (cache_module, reading_ahead):
            monkeypatch.setattr(module, "read_crop", refuse)
        monkeypatch.setattr(reading_ahead, "render_many", refuse)

    return forbid


def folders_in(place):
    return sorted(path for path in (place / "crops").iterdir() if path.is_dir() and not path.name.startswith("."))


def test_rows_are_the_crops_of_the_one_preprocessing(train, small_spec, place):
    cache = open_cache(train, small_spec, location=place, workers=1)
    assert cache.pixels.shape == (3, 8, 4, 3)
    assert cache.pixels.dtype == np.uint8
    for row, picture in enumerate(train):
        with Image.open(picture.source) as image:
            np.testing.assert_array_equal(cache.pixels[row], to_crop(image, small_spec))
    assert cache.split == train
    assert cache.skipped == ()
    assert isinstance(cache.pixels, np.memmap)
    assert not cache.pixels.flags.writeable


def test_the_second_opening_decodes_nothing_and_gives_the_same_bits(train, small_spec, place, no_decoding):
    first = open_cache(train, small_spec, location=place, workers=2).pixels.copy()
    no_decoding()
    second = open_cache(train, small_spec, location=place, workers=2)
    np.testing.assert_array_equal(second.pixels, first)


def test_synthetic_people_are_rendered_into_it(small_spec, place, no_decoding):
    spec = small_spec.model_copy(update={"height": 32, "width": 16})
    gallery = load_dataset("synthetic:people=2,cameras=2,size=32x16,train_fraction=0").gallery
    cache = open_cache(gallery, spec, location=place, workers=1)
    source = gallery[3].source
    np.testing.assert_array_equal(cache.pixels[3], render(source.spec, source.crop))
    resized = open_cache(gallery[:2], small_spec, location=place, workers=1)
    np.testing.assert_array_equal(resized.pixels[1], read_crop(gallery[1], small_spec))
    no_decoding()
    assert len(open_cache(gallery, spec, location=place)) == len(gallery)


def test_other_preprocessing_or_other_files_are_another_cache(train, small_spec, place):
    open_cache(train, small_spec, location=place, workers=1)
    for changes in ({"height": 9}, {"resize": "nearest"}):
        open_cache(train, small_spec.model_copy(update=changes), location=place, workers=1)
    assert len(folders_in(place)) == 3
    open_cache(train[:2], small_spec, location=place, workers=1)
    assert len(folders_in(place)) == 4


def test_what_preprocessing_does_not_look_at_makes_no_other_cache(train, small_spec, place):
    key = open_cache(train, small_spec, location=place, workers=1).folder
    other = small_spec.model_copy(update={"name": "input", "colour": "BGR", "layout": "NCHW"})
    assert open_cache(train, other, location=place, workers=1).folder == key


@pytest.mark.parametrize("change", ["content", "time"])
def test_a_changed_file_is_decoded_again(train, small_spec, place, make_picture, change):
    old = open_cache(train, small_spec, location=place, workers=1).pixels.copy()
    file = train[1].source
    before = file.stat()
    if change == "content":
        make_picture(file, seed=99, size=(40, 20))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:  # of the same size, to the byte
        file.write_bytes(train[0].source.read_bytes().ljust(before.st_size, b"\0")[: before.st_size])
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    new = open_cache(train, small_spec, location=place, workers=1).pixels
    assert not np.array_equal(new[1], old[1])
    np.testing.assert_array_equal(new[2], old[2])


def test_unreadable_pictures_are_skipped_and_listed(train, small_spec, place, names_of):
    train[1].source.write_bytes(b"no picture")
    cache = open_cache(train, small_spec, location=place, workers=1)
    assert len(cache) == 2
    assert [(skipped.place, skipped.name) for skipped in cache.skipped] == [(1, train[1].name)]
    assert str(train[1].source) in cache.skipped[0].reason
    assert names_of(cache.split) == [train[0].name, train[2].name]
    np.testing.assert_array_equal(cache.pixels[1], read_crop(train[2], small_spec))
    again = open_cache(train, small_spec, location=place, workers=1)
    assert (again.split, again.skipped) == (cache.split, cache.skipped)


def test_a_picture_that_was_skipped_is_tried_again_at_the_next_opening(train, small_spec, place, monkeypatch, caplog):
    real = cache_module.read_crop

    def fails_once(picture, spec):
        if picture == train[1]:
            raise cache_module.PictureError(f"{picture.source}: Input/output error")
        return real(picture, spec)

    for module in (cache_module, reading_ahead):
        monkeypatch.setattr(module, "read_crop", fails_once)
    assert len(open_cache(train, small_spec, location=place, workers=1)) == 2
    for module in (cache_module, reading_ahead):
        monkeypatch.setattr(module, "read_crop", real)
    with caplog.at_level(logging.WARNING):
        assert len(open_cache(train, small_spec, location=place, workers=1)) == 3
    assert "can be read now" in caplog.text


def test_if_nothing_can_be_read_there_is_no_cache(train, small_spec, place):
    for picture in train:
        picture.source.write_bytes(b"no picture")
    with pytest.raises(CacheError, match=r"none of the 3 pictures can be read; the first: .*0002_c1s1_000451_03\.jpg"):
        open_cache(train, small_spec, location=place, workers=1)
    with pytest.raises(CacheError, match="the split is empty"):
        open_cache(Split(), small_spec, location=place)


def flip_a_bit(folder):
    content = bytearray((folder / "crops.bin").read_bytes())
    content[100] ^= 1
    (folder / "crops.bin").write_bytes(content)


def edit_manifest(**changes):
    def edit(folder):
        facts = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(facts | changes))

    return edit


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_bit,
        lambda folder: (folder / "crops.bin").write_bytes((folder / "crops.bin").read_bytes()[:-1]),
        lambda folder: (folder / "crops.bin").unlink(),
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: (folder / "manifest.json").write_text("{"),
        edit_manifest(shape=[3, 4, 8, 3]),
        edit_manifest(skipped=[{"place": 7, "name": "x", "reason": "y"}]),
        edit_manifest(skipped=[{}]),
    ],
)
def test_a_damaged_cache_is_never_read_but_built_again(train, small_spec, place, damage, caplog):
    first = open_cache(train, small_spec, location=place, workers=1)
    pixels = first.pixels.copy()
    damage(first.folder)
    with caplog.at_level(logging.WARNING):
        again = open_cache(train, small_spec, location=place, workers=1)
    assert "is damaged and will be built again" in caplog.text
    np.testing.assert_array_equal(again.pixels, pixels)


def test_a_manifest_that_lost_its_place_does_not_move_rows_to_other_pictures(train, small_spec, place, names_of):
    train[1].source.write_bytes(b"no picture")
    folder = open_cache(train, small_spec, location=place, workers=1).folder
    skipped = json.loads((folder / "manifest.json").read_text())["skipped"]
    for wrong in ([0], [1, 1], [-2], [7]):
        edit_manifest(skipped=[skipped[0] | {"place": at} for at in wrong])(folder)
        cache = open_cache(train, small_spec, location=place, workers=1)
        assert names_of(cache.split) == [train[0].name, train[2].name]
        assert len(cache.pixels) == 2


def test_a_builder_that_is_stopped_leaves_nothing_that_looks_like_a_cache(train, small_spec, place, monkeypatch):
    real = cache_module.write_durably

    def stop(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache_module, "write_durably", stop)
    with pytest.raises(KeyboardInterrupt):
        open_cache(train, small_spec, location=place, workers=1)
    assert [path.suffix for path in (place / "crops").iterdir()] == [".lock"]
    monkeypatch.setattr(cache_module, "write_durably", real)
    abandoned = place / "crops" / f".{open_cache(train, small_spec, location=place).folder.name}.1234.tmp"
    abandoned.mkdir()  # as after a kill -9
    open_cache(train, small_spec.model_copy(update={"height": 9}), location=place, workers=1)
    assert abandoned.exists()  # it may be alive: it is another's
    for folder in folders_in(place):
        (folder / "manifest.json").unlink()
    open_cache(train, small_spec, location=place, workers=1)
    assert not abandoned.exists()


def test_whoever_comes_while_one_builds_waits_and_opens_what_was_built(train, small_spec, place, monkeypatch):
    real, builds, together = cache_module._build, [], threading.Barrier(4)

    def count(*arguments):
        builds.append(threading.get_ident())
        real(*arguments)

    def come(_number):
        together.wait()
        return open_cache(train, small_spec, location=place, workers=1)

    monkeypatch.setattr(cache_module, "_build", count)
    with ThreadPoolExecutor(4) as pool:
        caches = list(pool.map(come, range(4)))
    assert len(builds) == 1
    assert all(np.array_equal(cache.pixels, caches[0].pixels) for cache in caches)


def test_processes_that_open_one_cache_at_once_all_get_it_whole(train, small_spec, place):
    root = train[0].source.parent.parent
    program = f"""
from models import InputSpec
from training.data import load_dataset, open_cache
spec = InputSpec.model_validate_json({small_spec.model_dump_json()!r})
cache = open_cache(load_dataset("market1501:{root}").train, spec, location={str(place)!r}, workers=1)
print(int(cache.pixels.sum()), cache.folder)
"""
    children = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [child.communicate()[0].strip() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    mine = open_cache(train, small_spec, location=place, workers=1)
    assert answers == [f"{int(mine.pixels.sum())} {mine.folder}"] * 2
    assert folders_in(place) == [mine.folder]


def test_a_part_of_what_was_cached_is_found_by_name(train, small_spec, place):
    train[1].source.write_bytes(b"no picture")
    cache = open_cache(train, small_spec, location=place, workers=1)
    readable, rows = cache.select(Split((train[2], train[1])))
    assert [picture.name for picture in readable] == [train[2].name]
    assert rows.tolist() == [1]
    assert rows.dtype == np.int64
    stranger = load_dataset("synthetic:people=2,cameras=2").train
    with pytest.raises(CacheError, match="was not built for bounding_box_train/0001_c"):
        cache.select(stranger)


def test_the_environment_says_where_caches_lie(train, small_spec, tmp_path, monkeypatch):
    monkeypatch.setenv("VANTAGE_CACHE", str(tmp_path / "named"))
    assert open_cache(train, small_spec, workers=1).folder.parent == tmp_path / "named" / "crops"
    monkeypatch.delenv("VANTAGE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert open_cache(train, small_spec, workers=1).folder.parent == tmp_path / "home/.cache/vantage/crops"


def test_a_place_that_cannot_be_written_is_a_sentence(train, small_spec, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"crops cannot be kept in .* name another place with VANTAGE_CACHE"):
        open_cache(train, small_spec, location=tmp_path / "file")
