"""The way of the lots from the driver, which alone knows the gallery and the source, into a dataset.

An actor keeps each lot from when it is handed over until it has come out at the other end. So the task that reads them
may die at any time and begin again, and what lies between is bounded by the number of lots that are under way.
"""

import asyncio
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import ray
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from service.indexing.on_ray.lots import Lot, as_row


class _Kept:
    """The lots under way, by number."""

    def __init__(self) -> None:
        self._lots: dict[int, bytes] = {}
        self._count: int | None = None
        self._changed = asyncio.Condition()

    async def put(self, number: int, lot: bytes, out: int) -> None:
        """out: how many of the first lots have come out."""
        async with self._changed:
            self._lots[number] = lot
            for gone in range(min(self._lots), out):
                del self._lots[gone]
            self._changed.notify_all()

    async def end(self, count: int) -> None:
        """There are no more than so many."""
        async with self._changed:
            self._count = count
            self._changed.notify_all()

    async def take(self, number: int) -> bytes | None:
        """The lot when it is there, empty where it has come out already, None where there is none."""
        async with self._changed:
            await self._changed.wait_for(lambda: number in self._lots or self._past(number))
            return None if self._count is not None and number >= self._count else self._lots.get(number, b"")

    def _past(self, number: int) -> bool:
        return number < min(self._lots, default=0) or (self._count is not None and number >= self._count)


class Feed(Datasource):  # type: ignore[misc]
    """Lots as a source of Ray Data, one a block, while no more than `most` are under way.

    out: to be called for each lot that has come out, in order. What goes wrong with the lots that are given ends them,
    and is raised when the feed is left.
    """

    def __init__(self, lots: Iterable[Lot], most: int) -> None:
        super().__init__()
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._kept = ray.remote(num_cpus=0, scheduling_strategy=here)(_Kept).remote()
        self._lots = lots
        self._room = threading.Semaphore(most)
        self._out = 0
        self._left = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._hand_over, name="feed", daemon=True)

    def out(self) -> None:
        self._out += 1
        self._room.release()

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, *_: Any, **__: Any) -> list[ReadTask]:
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(partial(_blocks, self._kept), unknown)]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left = True
        self._room.release()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _hand_over(self) -> None:
        count = 0
        try:
            for lot in self._lots:
                self._room.acquire()
                if self._left:
                    return
                ray.get(self._kept.put.remote(count, as_row(lot)["lot"], self._out))
                count += 1
        except Exception as error:
            self._error = error
        finally:
            self._kept.end.remote(count)


def _blocks(kept: Any) -> Iterator[pa.Table]:
    number = 0
    while (lot := ray.get(kept.take.remote(number))) is not None:
        yield pa.table({"lot": pa.array([lot], pa.binary())})
        number += 1
