"""Work that is done ahead, in order, without piling up."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

Given = TypeVar("Given")
Done = TypeVar("Done")


def ahead(given: Iterable[Given], start: Callable[[Given], Future[Done]], depth: int) -> Iterator[tuple[Given, Done]]:
    """Each thing that is given with what came of it, in order, while up to `depth` others are under way."""
    waiting: deque[tuple[Given, Future[Done]]] = deque()
    for thing in given:
        waiting.append((thing, start(thing)))
        if len(waiting) > depth:
            thing, future = waiting.popleft()
            yield thing, future.result()
    while waiting:
        thing, future = waiting.popleft()
        yield thing, future.result()


def in_lots(given: Iterable[Given], size: int) -> Iterator[list[Given]]:
    """Lists of `size`; the last may be shorter."""
    lot: list[Given] = []
    for thing in given:
        lot.append(thing)
        if len(lot) == size:
            yield lot
            lot = []
    if lot:
        yield lot
