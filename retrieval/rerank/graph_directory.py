"""A re-ranking graph on disk, from which the rows of a database are made and kept current, for any number of items."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from retrieval.array_file import read_arrays, write_arrays
from retrieval.errors import RetrievalError
from retrieval.gpu_search import Device
from retrieval.keys import Keys, checked_keys
from retrieval.rerank.generation import Generation, Work, make_lists, make_rows
from retrieval.rerank.graph import ReciprocalGraph
from retrieval.rerank.list_changes import changed_lists, touched_rows
from retrieval.rerank.settings import RerankSettings
from retrieval.vectors import unit_rows

MANY = 1 / 4  # share of items come and gone from which on all lists are made from nothing: that is less work then
COPIED = 65536  # vectors moved at a time

Blocks = Iterable[tuple[npt.ArrayLike, npt.ArrayLike]]
Mapper = Callable[[Work, Sequence[int]], Iterable[object]]
Progress = Callable[[str, int, int], None]
Runner = Callable[[str, Work, list[int], int], None]


class GraphDirectory:
    """Neighbour lists of a whole gallery in a directory, and the rows that follow from them.

    `update` takes what came and went and makes what has changed by it; `waiting` tells the rows that are others since,
    which the caller writes beside its items and acknowledges. After that, every row is what `ReciprocalGraph.build`
    would hold of its item. What comes and goes later is taken up by the next `update`: until then a new item has no row
    and those around it do not know of it, and a removed one still takes weight in the rows around it.

    What an update costs: N x N similarities the first time, and whenever more than a quarter of the items came or went.
    Otherwise N for each new item and for each that lost one of its `reach` nearest, or its farthest item; then the rows
    within three steps of a changed list, a few hundred for each item that came or went, of which a few dozen really
    change and are told.

    On disk: 4 D bytes an item for its vector, 8 reach + 32 for its lists and the like, twice during an update; and the
    rows until they are acknowledged. In memory: some tens of bytes an item and a block of the work, and where few
    changed all lists a few times over, 300 bytes or so an item. Vectors and lists are read through memory maps. A GPU
    helps where lists are made from nothing; a few changes are worked out on the processor.

    One process updates at a time. Whatever stops it, the next call goes on where it was.

    rows  False where the lists alone are wanted, for `graph`; a directory that was begun so has no rows ever after.
    """

    def __init__(self, path: Path, settings: RerankSettings | None = None, *, rows: bool = True) -> None:
        self.path, self.settings, self._rows = path.absolute(), settings or RerankSettings(), rows

    @property
    def keys(self) -> Keys:
        """int64 (N,): the items that the next `update` knows already, in no order. What came and went since is

        added = np.setdiff1d(now, directory.keys), removed = np.setdiff1d(directory.keys, now)
        """
        unfinished, now = self._next(), self._now()
        known = unfinished if unfinished.is_gathered() else now
        return np.zeros(0, np.int64) if known is None else known.keys.copy()

    def update(
        self,
        added: Blocks = (),
        removed: npt.ArrayLike = (),
        *,
        device: Device = "auto",
        progress: Progress | None = None,
        mapper: Mapper = map,
    ) -> None:
        """Makes the rows of the gallery as it is now; `waiting` tells those that have changed.

        added     the items that are new, the first time all: (keys int64 (n,), vectors float (n, D) of unit length),
                  again and again, in ascending order of key. Read after what was left undone has been finished.
        removed   int (r,): the keys of items that are gone. One that is added too has another vector from now on.
        progress  called as `progress("lists" or "rows", done, of)`; what it raises stops the work between two blocks.
        mapper    `mapper(work, numbers)` runs `work(number)` for each, in any order, anywhere where this directory is,
                  and yields as they get done; by default one after another here. `work` can be pickled, and tells by
                  `work.on_gpu` whether a GPU may be of use to it.
        """
        with self._alone():
            run = partial(_run, mapper, progress or (lambda stage, done, of: None))
            unfinished, now = self._next(), self._now()
            for folder in self.path.iterdir():  # of a generation that was replaced, if that was stopped
                if folder.is_dir() and folder not in (unfinished.folder, now and now.folder):
                    shutil.rmtree(folder)
            if unfinished.is_gathered():
                self._finish(self._checked(unfinished), device, run)
            if self._gather(added, np.asarray(removed, np.int64)):
                self._finish(self._next(), device, run)

    def waiting(self) -> Iterator[tuple[str, Keys, list[bytes]]]:
        """The rows that are to be written beside their items: (name, keys int64 (n,), n rows), block by block.

        An item may be gone by the time its row comes: leave it out then, and acknowledge the block all the same. Nobody
        can update until the last was asked for or the iterator is closed, so no older row is written after a newer.
        """
        with self._alone():
            now = self._now()
            if now is None:
                return
            for number, arrays in now.row_files():
                ends, raw = np.cumsum(arrays["sizes"]), arrays["rows"].tobytes()
                rows = [raw[end - size : end] for end, size in zip(ends, arrays["sizes"], strict=True)]
                yield f"{now.folder.name}/rows-{number}", arrays["keys"], rows

    def acknowledge(self, name: str) -> None:
        """The rows of this block are written; they are not told again."""
        (self.path / name).unlink(missing_ok=True)

    def graph(self, progress: Callable[[int, int], None] | None = None) -> ReciprocalGraph:
        """The graph of the items of the last `update`, whose keys must ascend; nothing in it needs the directory.

        progress  called now and then with how many items are encoded, and of how many; what it raises ends the work.
        """
        with self._alone():
            now = self._now()
            if now is None:
                raise RetrievalError(f"{self.path} holds no graph yet: update it first")
            vectors = np.array(now.vectors)  # which may change then, and whose file may go
            return ReciprocalGraph.from_lists(vectors, now.neighbours, now.keys, self.settings, progress=progress)

    # ---- generations -------------------------------------------------------------------------------------------------

    def _now(self) -> Generation | None:
        """The last that was finished."""
        if not (self.path / "current").exists():
            return None
        return self._checked(Generation(self.path / str(read_arrays(self.path / "current")[0]["generation"])))

    def _next(self) -> Generation:
        now = self._now()
        return Generation(self.path / str(1 if now is None else int(now.folder.name) + 1))

    def _checked(self, generation: Generation) -> Generation:
        made = generation.settings
        if (made.k1, made.k2) != (self.settings.k1, self.settings.k2):
            raise RetrievalError(
                f"{self.path} holds a graph made with k1={made.k1} and k2={made.k2}, not with k1={self.settings.k1} "
                f"and k2={self.settings.k2}: give it those, or another directory"
            )
        return generation

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RetrievalError(
                    f"{self.path} is being updated, or its rows written, by another: wait for its end"
                ) from error
            yield

    def _gather(self, added: Blocks, removed: Keys) -> bool:
        """Puts down the vectors of the next generation; False where it would be the same as the last."""
        now, new = self._now(), self._next()
        shutil.rmtree(new.folder, ignore_errors=True)
        new.folder.mkdir()
        before = kept = np.zeros(0, np.int64)
        keys, last, dimension = [before], None, 0
        with (new.folder / "vectors.f32").open("wb") as file:
            if now is not None:
                before, kept = now.keys, np.flatnonzero(~np.isin(now.keys, removed))
                dimension = now.vectors.shape[1] if len(kept) else 0
                for start in range(0, len(kept), COPIED):
                    file.write(np.ascontiguousarray(now.vectors[kept[start : start + COPIED]]).data)
            for names, vectors in added:
                rows = unit_rows(vectors)
                keys.append(checked_keys(names, len(rows), after=last))
                last = int(keys[-1][-1]) if len(rows) else last
                if dimension not in (0, rows.shape[1]):
                    raise RetrievalError(f"vectors of {dimension} and {rows.shape[1]} dimensions came: use one model")
                dimension = rows.shape[1]
                file.write(rows.data)
            file.flush()
            os.fsync(file.fileno())
        names = np.concatenate(keys)
        if known := np.intersect1d(before[kept], names).tolist():
            raise RetrievalError(f"key {known[0]} is there already: remove it too if it has another vector now")
        if now is not None and len(names) == 0 and len(kept) == len(before):
            shutil.rmtree(new.folder)
            return False
        new.set_gathered(np.concatenate((before[kept], names)), kept, dimension, self.settings)
        return True

    def _finish(self, new: Generation, device: Device, run: Runner) -> None:
        if not new.is_listed():
            self._list(new, device, run)
        run("rows", Work(partial(make_rows, new.folder)), new.rows_to_make(), len(new.row_blocks))
        new.keep_checks()
        before = self._now()
        write_arrays(self.path / "current", {"generation": int(new.folder.name)}, {})
        if before is not None:
            shutil.rmtree(before.folder)

    def _list(self, new: Generation, device: Device, run: Runner) -> None:
        """Makes the lists of a generation, from those of the one before if that is less work."""
        before, kept, size = self._now(), new.array("kept"), len(new.keys)
        told = np.zeros(size, np.uint32)
        touched = np.ones(size, np.bool_)
        if before is not None and size + len(before.keys) - 2 * len(kept) <= MANY * size:
            near, changed, farther = changed_lists(before.lists, kept, new.vectors, self.settings)
            new.save_lists(near)
            touched = touched_rows(near.indices, changed, farther, self.settings)
        else:
            work = Work(partial(make_lists, new.folder, device), on_gpu=device != "cpu")
            run("lists", work, new.lists_to_make(), len(new.list_blocks))
            new.join_lists()
        if before is not None:
            told[: len(kept)] = before.array("checks")[kept]
            owed = np.isin(new.keys, np.concatenate([kept[:0], *(rows["keys"] for _, rows in before.row_files())]))
            told[owed] = 0
            touched |= owed
        new.set_listed(np.flatnonzero(touched & self._rows), told)


def _run(mapper: Mapper, progress: Progress, stage: str, work: Work, numbers: list[int], total: int) -> None:
    done, made = total - len(numbers), mapper(work, numbers)
    try:
        for _ in made:
            done += 1
            progress(stage, done, total)
    finally:
        if isinstance(made, Generator):  # at once, and not when nobody looks at a traceback any more
            made.close()
