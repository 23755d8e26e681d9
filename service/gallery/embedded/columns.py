"""What filters ask about, in memory: one place an item in plain arrays, so that a filter is a few comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from service.gallery.embedded.rows import Row

UNKNOWN = -1  # the code of a label, or viewpoint, that an item does not have
NO_TIME = np.iinfo(np.int64).min
NEVER = np.iinfo(np.int64).max
ROOM = 1024  # places that even the smallest gallery has
LABELS = ("camera", "person", "tracklet")
KINDS: dict[str, type[np.generic]] = {
    "keys": np.int64,
    "camera": np.int32,
    "person": np.int32,
    "tracklet": np.int32,
    "captured_at": np.int64,
    "viewpoint": np.int8,
    "expires_at": np.int64,
    "alive": np.bool_,
}
Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The columns at one moment, in ascending order of key; only `alive` may still change, from true to false.

    codes: for camera, person and tracklet, what number a label goes by. next_expiry: no item expires before.
    """

    keys: Keys
    camera: npt.NDArray[np.int32]
    person: npt.NDArray[np.int32]
    tracklet: npt.NDArray[np.int32]
    captured_at: npt.NDArray[np.int64]
    viewpoint: npt.NDArray[np.int8]
    expires_at: npt.NDArray[np.int64]
    alive: npt.NDArray[np.bool_]
    codes: Mapping[str, Mapping[str, int]]
    next_expiry: int

    def places(self, keys: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """Where the keys stand that are there; the others are left out."""
        wanted = np.asarray(keys, np.int64)
        at = np.searchsorted(self.keys, wanted)
        at[at == len(self.keys)] = 0
        return at[(self.keys[at] == wanted) & self.alive[at]] if len(self.keys) else at[:0]


class Columns:
    """Grown by the writer; `view` may be called from any thread."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._codes: dict[str, dict[str, int]] = {name: {} for name in LABELS}
        self._count = self._dead = 0
        self._next_expiry = NEVER
        self._arrays = {name: np.empty(ROOM, kind) for name, kind in KINDS.items()}
        self._append(list(rows))
        self._view = self._look()

    def __len__(self) -> int:
        return self._count - self._dead

    @property
    def view(self) -> View:
        return self._view

    def apply(self, added: Sequence[Row], removed: Sequence[int]) -> None:
        """Takes up the net effect of a commit: rows, whose keys are larger than all before, and the keys removed."""
        self._append(added)
        if removed:
            places = self._look().places(removed)
            self._arrays["alive"][places] = False
            self._dead += len(places)
            if self._dead > max(ROOM, self._count // 2):
                self._close_gaps()
        self._view = self._look()

    def _append(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        first, after = self._count, self._count + len(rows)
        capacity = len(self._arrays["keys"])
        if after > capacity:
            # New arrays, so that views of the old ones stay as they were.
            for name, old in self._arrays.items():
                larger = np.empty(max(after, capacity * 3 // 2), old.dtype)
                larger[:first] = old[:first]
                self._arrays[name] = larger
        columns = dict(zip(Row._fields, zip(*rows, strict=True), strict=True))
        new: dict[str, Any] = {"keys": columns["key"], "alive": True}
        for name in LABELS:
            codes = self._codes[name]
            new[name] = [UNKNOWN if label is None else codes.setdefault(label, len(codes)) for label in columns[name]]
        for name, blank in (("captured_at", NO_TIME), ("viewpoint", UNKNOWN), ("expires_at", NEVER)):
            new[name] = [blank if value is None else value for value in columns[name]]
        for name, values in new.items():
            self._arrays[name][first:after] = values
        self._next_expiry = min(self._next_expiry, int(self._arrays["expires_at"][first:after].min()))
        self._count = after

    def _close_gaps(self) -> None:
        kept = np.flatnonzero(self._arrays["alive"][: self._count])
        self._arrays = {name: array[kept] for name, array in self._arrays.items()}
        self._count, self._dead = len(kept), 0
        self._next_expiry = int(self._arrays["expires_at"].min(initial=NEVER))
        # Labels that nobody bears any more are forgotten: they may be names of people that were to be deleted.
        for name in LABELS:
            used = np.unique(self._arrays[name])
            renamed = np.full(len(self._codes[name]) + 1, UNKNOWN, np.int32)
            used = used[used != UNKNOWN]
            renamed[used] = np.arange(len(used))
            self._arrays[name] = renamed[self._arrays[name]]
            self._codes[name] = {
                label: int(renamed[code]) for label, code in self._codes[name].items() if renamed[code] != UNKNOWN
            }

    def _look(self) -> View:
        shown = {name: array[: self._count] for name, array in self._arrays.items()}
        return View(**shown, codes=self._codes.copy(), next_expiry=self._next_expiry)
