"""Decoded, resized crops in one memory-mapped file: pictures are decoded once, not once an epoch.

A cache is a folder `<location>/crops/<key>` with `crops.bin` (uint8 N x H x W x 3) and `manifest.json`. It is built
beside its place and renamed, so it is there whole or not at all; one builder at a time holds a lock, the others wait
and open what it built. On opening, size and checksums of all pixels are compared with the manifest; a cache that does
not agree is built again, never read.
"""

import fcntl
import json
import logging
import os
import secrets
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import InputSpec, write_durably
from training.data.cache_key import cache_key
from training.data.dataset import Picture, Split
from training.data.errors import CacheError, PictureError
from training.data.reading import read_crop
from training.data.reading_ahead import read_crops

PIXELS_FILE, MANIFEST_FILE = "crops.bin", "manifest.json"
_BLOCK = 1 << 26  # bytes under one checksum

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SkippedPicture:
    """A picture that could not be read. reason: a sentence that names the file. place: where it stands in the split."""

    place: int
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Manifest:
    shape: tuple[int, ...]
    checksums: list[int]
    skipped: list[SkippedPicture]


class CropCache:
    """The crops of some pictures.

    pixels: uint8 (N, H, W, 3) RGB, read-only, mapped from the file: N = len(split).
    split: the pictures behind the rows, in their order; those that could not be read are left out.
    skipped: the ones left out. Whoever trains says how many there are.
    folder: where it lies.
    """

    def __init__(
        self, pixels: NDArray[np.uint8], split: Split, skipped: tuple[SkippedPicture, ...], folder: Path
    ) -> None:
        self.pixels = pixels
        self.split = split
        self.skipped = skipped
        self.folder = folder
        self._row = {picture.name: row for row, picture in enumerate(split)}
        self._left_out = {picture.name for picture in skipped}

    def __len__(self) -> int:
        return len(self.split)

    def select(self, split: Split) -> tuple[Split, NDArray[np.int64]]:
        """The pictures of `split` that could be read, and their rows in `pixels`: int64 (len of the returned split,).

        Pictures are told apart by their name; one that the cache was not built for is an error.
        """
        for picture in split:
            if picture.name not in self._row and picture.name not in self._left_out:
                raise CacheError(f"the cache {self.folder} was not built for {picture.name}: open one for that split")
        readable = Split(tuple(picture for picture in split if picture.name in self._row))
        return readable, np.array([self._row[picture.name] for picture in readable], dtype=np.int64)


def open_cache(
    split: Split, spec: InputSpec, *, location: Path | str | None = None, workers: int | None = None
) -> CropCache:
    """The crops of the split, from the cache, or decoded (or rendered) into it now.

    spec: its height, width and resize filter are what crops are made by. location: the folder of all caches; None
    means `VANTAGE_CACHE` or, where that is not set, `~/.cache/vantage`. workers: threads that decode, processes that
    render; None means one a core.
    """
    if not split:
        raise CacheError("there is no picture to keep: the split is empty")
    folder = _caches(location) / cache_key(split, spec)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            opened = _open(folder, split, spec)
            if opened is None:
                _build(folder, split, spec, workers)
                opened = _open(folder, split, spec)
    except OSError as error:
        raise CacheError(
            f"crops cannot be kept in {folder.parent}: {error}; make room, or name another place with VANTAGE_CACHE"
        ) from error
    if opened is None:
        raise CacheError(f"{folder} was written and reads back otherwise: the disk or its file system is failing")
    if not len(opened):
        raise CacheError(f"none of the {len(split)} pictures can be read; the first: {opened.skipped[0].reason}")
    return opened


def _caches(location: Path | str | None) -> Path:
    if location is None:
        location = os.environ.get("VANTAGE_CACHE") or "~/.cache/vantage"
    return Path(location).expanduser() / "crops"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Held by one process at a time; the system lets go of it when that process dies."""
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open(folder: Path, split: Split, spec: InputSpec) -> CropCache | None:
    """None if there is none, it is damaged, or a picture that it lacks can be read by now."""
    if not folder.exists():
        return None
    try:
        manifest = _read_manifest(folder)
        skipped = {entry.place for entry in manifest.skipped}
        held = split.take(place for place in range(len(split)) if place not in skipped)
        expected = (len(held), spec.height, spec.width, 3)
        if manifest.shape != expected:
            raise ValueError(f"its shape is {manifest.shape}, expected {expected}")
        pixels = _map(folder / PIXELS_FILE, manifest.shape)
        if list(_checksums(pixels)) != manifest.checksums:
            raise ValueError("its pixels are not those that were written")
        mended = any(_can_be_read(split[place], spec) for place in skipped)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        _log.warning("the cache %s is damaged and will be built again: %s", folder, error)
        return None
    if mended:
        _log.warning("pictures that the cache %s skipped can be read now: it will be built again", folder)
        return None
    return CropCache(pixels, held, tuple(manifest.skipped), folder)


def _read_manifest(folder: Path) -> _Manifest:
    facts: Any = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    skipped = [SkippedPicture(**entry) for entry in facts["skipped"]]
    return _Manifest(tuple(facts["shape"]), list(facts["checksums"]), skipped)


def _map(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    size = file.stat().st_size
    if size != int(np.prod(shape)):
        raise ValueError(f"{file.name} has {size} bytes, expected {int(np.prod(shape))}")
    if size == 0:  # nothing cannot be mapped
        return np.empty(shape, np.uint8)
    return np.memmap(file, np.uint8, "r", shape=shape)


def _checksums(pixels: NDArray[np.uint8]) -> Iterator[int]:
    flat = pixels.reshape(-1)
    return (zlib.crc32(flat[start : start + _BLOCK].data) for start in range(0, len(flat), _BLOCK))


def _can_be_read(picture: Picture, spec: InputSpec) -> bool:
    try:
        read_crop(picture, spec)
    except PictureError:
        return False
    return True


def _build(folder: Path, split: Split, spec: InputSpec, workers: int | None) -> None:
    for abandoned in folder.parent.glob(f".{folder.name}.*.tmp"):  # of a builder that was killed: it held our lock
        shutil.rmtree(abandoned)
    growing = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.tmp")
    growing.mkdir()
    try:
        count, skipped = 0, []
        with (growing / PIXELS_FILE).open("xb") as file:
            for place, crop in enumerate(read_crops(split, spec, workers)):
                if isinstance(crop, str):
                    skipped.append(SkippedPicture(place, split[place].name, crop))
                else:
                    file.write(crop.data)
                    count += 1
            file.flush()
            os.fsync(file.fileno())
        shape = (count, spec.height, spec.width, 3)
        checksums = list(_checksums(_map(growing / PIXELS_FILE, shape)))
        content = json.dumps(asdict(_Manifest(shape, checksums, skipped)))
        write_durably(growing / MANIFEST_FILE, content.encode())
        if folder.exists():
            shutil.rmtree(folder)
        growing.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(growing, ignore_errors=True)
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
