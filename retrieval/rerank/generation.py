"""One generation of a graph on disk, and the two pieces of work that it is made by.

    vectors.f32               float32 (N, D): all items
    keys.npy, kept.npy        their keys, and where in the generation before the first of them were
    gathered                  settings and dimension: written once the above are there
    lists-<first>             the neighbour lists of one block, until all are joined
    <name of a list>.npy      the neighbour lists of all items
    touched.npy, told.npy     whose rows they ask for, and the check sums of the rows that were last told of
    listed                    written once the above are there
    rows-<number>             a block of rows, until they are acknowledged
    checks.npy                the check sums of all rows, once they are made

A block's file is written whole or not at all, and a step's last file when the others are on disk, so whatever stops the
work, it goes on where it was. What is as long as the gallery is a memory map: blocks take little else than themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.array_file import read_arrays, write_arrays
from retrieval.exact_search import Neighbours
from retrieval.gpu_search import Device
from retrieval.keys import Keys
from retrieval.rerank.list_blocks import lists_of
from retrieval.rerank.row_blocks import Lists, rows_of
from retrieval.rerank.settings import RerankSettings

LISTED = 16384  # items whose lists are made at a time: the gallery is read once for each block of them
ENCODED = 4096  # rows made at a time
LISTS = ("indices", "similarities", "farthest", "lowest")


@dataclass(frozen=True, slots=True)
class Work:
    """`work(number)` makes one block. It can be pickled, and called anywhere where the folder is.

    on_gpu  whether a GPU may be of use to it.
    """

    make: Callable[[int], None]
    on_gpu: bool = False

    def __call__(self, number: int) -> None:
        self.make(number)


def make_lists(folder: Path, device: Device, first: int) -> None:
    """Writes the neighbour lists of the block of items that begins at `first`: the first piece of work.

    It reads the vectors and writes one file, and needs nothing else but the folder: any process that has it can do it.
    """
    generation = Generation(folder)
    near = lists_of(first, first + LISTED, generation.vectors, generation.settings.reach, device)
    write_arrays(folder / f"lists-{first}", {}, {name: getattr(near, name) for name in LISTS})


def make_rows(folder: Path, number: int) -> None:
    """Writes a block of the rows that are to be made anew, of them those that have changed: the second piece of work.

    It reads lists and vectors, and otherwise is like the first.
    """
    generation = Generation(folder)
    asked = np.asarray(generation.array("touched")[number * ENCODED : (number + 1) * ENCODED])
    packed = rows_of(asked, generation.lists, generation.settings).packed(generation.settings)
    rows = [row for row in packed if row is not None]
    checks = np.asarray([int.from_bytes(row[:4], "little") for row in rows], np.uint32)  # a row begins with its CRC
    news = np.flatnonzero(checks != generation.array("told")[asked])
    write_arrays(
        folder / f"rows-{number}",
        {},
        {
            "asked": asked,
            "checks": checks,
            "keys": generation.keys[asked[news]],
            "sizes": np.asarray([len(rows[n]) for n in news], np.int64),
            "rows": np.frombuffer(b"".join(rows[n] for n in news), np.uint8),
        },
    )


@dataclass(frozen=True)
class Generation:
    """What is in one generation's folder, as far as it is there."""

    folder: Path

    @cached_property
    def _facts(self) -> dict[str, Any]:
        return read_arrays(self.folder / "gathered")[0]

    @property
    def settings(self) -> RerankSettings:
        return RerankSettings(self._facts["k1"], self._facts["k2"])

    @property
    def neighbours(self) -> Neighbours:
        """The neighbour lists of all items."""
        return Neighbours(*(self.array(name) for name in LISTS))

    def array(self, name: str) -> npt.NDArray[Any]:
        """keys     int64 (N,).
        kept     int64 (m,): the places in the generation before of the first m items; the others are new.
        touched  int64 (t,): whose rows are to be made anew, ascending.
        told     uint32 (N,): the check sums of the rows that were last told of; 0 where none was.
        checks   uint32 (N,): those of all rows as they are now.
        """
        return np.asarray(np.load(self.folder / f"{name}.npy", mmap_mode="r"))

    @cached_property
    def keys(self) -> Keys:
        return self.array("keys")

    @cached_property
    def vectors(self) -> npt.NDArray[np.float32]:
        """float32 (N, D)"""
        shape = (len(self.keys), int(self._facts["dimension"]))
        if shape[0] == 0:  # nothing cannot be mapped
            return np.zeros(shape, np.float32)
        return np.asarray(np.memmap(self.folder / "vectors.f32", np.float32, "r", shape=shape))

    @cached_property
    def lists(self) -> Lists:
        return Lists(self.keys, self.vectors, *(self.array(name) for name in LISTS))

    # ---- what is there, and what is left to do -----------------------------------------------------------------------

    def is_gathered(self) -> bool:
        return (self.folder / "gathered").exists()

    def is_listed(self) -> bool:
        return (self.folder / "listed").exists()

    @property
    def list_blocks(self) -> range:
        return range(0, len(self.keys), LISTED)

    @property
    def row_blocks(self) -> range:
        return range(-(-len(self.array("touched")) // ENCODED))

    def lists_to_make(self) -> list[int]:
        return [first for first in self.list_blocks if not (self.folder / f"lists-{first}").exists()]

    def rows_to_make(self) -> list[int]:
        return [number for number in self.row_blocks if not (self.folder / f"rows-{number}").exists()]

    def row_files(self) -> Iterator[tuple[int, dict[str, npt.NDArray[Any]]]]:
        """The blocks of rows that are there, as `make_rows` wrote them."""
        for number in sorted(int(file.name.removeprefix("rows-")) for file in self.folder.glob("rows-*")):
            yield number, read_arrays(self.folder / f"rows-{number}")[1]

    # ---- steps -------------------------------------------------------------------------------------------------------

    def set_gathered(self, keys: Keys, kept: npt.NDArray[np.integer], dimension: int, settings: RerankSettings) -> None:
        self._save("keys", keys)
        self._save("kept", kept)
        write_arrays(self.folder / "gathered", {"k1": settings.k1, "k2": settings.k2, "dimension": dimension}, {})

    def join_lists(self) -> None:
        """Puts the blocks' lists together."""
        size, reach = len(self.keys), self.settings.reach
        for name in LISTS:
            kind = np.int32 if name in ("indices", "farthest") else np.float32
            shape = (size, reach) if name in ("indices", "similarities") else (size,)
            out = np.lib.format.open_memmap(self.folder / f"{name}.npy", "w+", kind, shape)
            for first in self.list_blocks:
                out[first : first + LISTED] = read_arrays(self.folder / f"lists-{first}")[1][name]
            out.flush()
            with (self.folder / f"{name}.npy").open("rb") as file:
                os.fsync(file.fileno())

    def save_lists(self, near: Neighbours) -> None:
        for name in LISTS:
            self._save(name, getattr(near, name))

    def set_listed(self, touched: npt.NDArray[np.integer], told: npt.NDArray[np.uint32]) -> None:
        self._save("touched", touched)
        self._save("told", told)
        write_arrays(self.folder / "listed", {}, {})
        for block in self.folder.glob("lists-*"):
            block.unlink()

    def keep_checks(self) -> None:
        """Once the rows are all there: a file of rows goes when it is acknowledged."""
        checks = self.array("told").copy()
        for _, arrays in self.row_files():
            checks[arrays["asked"]] = arrays["checks"]
        self._save("checks", checks)

    def _save(self, name: str, array: npt.NDArray[Any]) -> None:
        with (self.folder / f"{name}.npy").open("wb") as file:
            np.save(file, array)
            file.flush()
            os.fsync(file.fileno())
