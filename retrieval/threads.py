"""How many processor threads BLAS and faiss use."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import faiss
from threadpoolctl import ThreadpoolController

from retrieval.errors import RetrievalError

Item = TypeVar("Item")
Result = TypeVar("Result")

LITTLE = 1 << 20  # values looked at, or products summed: about a tenth of a millisecond


def limited_threads(threads: int | None) -> AbstractContextManager[None]:
    """While entered, BLAS and OpenMP use at most `threads` threads; None leaves them as they are."""
    if threads is None:
        return nullcontext()
    if threads < 1:
        raise RetrievalError(f"threads is {threads}: use at least 1, or None for all of them")
    return _limit(threads)


@contextmanager
def _limit(threads: int) -> Iterator[None]:
    with _thread_pools().limit(limits=threads):
        yield


@functools.cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()  # looks through every loaded library: some milliseconds, so it is done once


def spread(work: Callable[[Item], Result], items: Sequence[Item], threads: int | None = None) -> Iterator[Result]:
    """`work(item)` for each item, in order, on `threads` threads (as many as OpenMP would use, by default).

    Each works with BLAS and faiss on one thread. Left to themselves those two would each start a team of their own,
    whose idle members keep a core busy waiting for more, so that on few cores each slows the other down severalfold.
    """
    workers = min(threads or faiss.omp_get_max_threads(), len(items))
    if workers < 2:
        yield from map(work, items)
        return
    with _limit(1), ThreadPoolExecutor(workers, initializer=faiss.omp_set_num_threads, initargs=(1,)) as pool:
        under_way: deque[Future[Result]] = deque()
        for item in items:
            under_way.append(pool.submit(work, item))
            if len(under_way) > workers:  # no more results are held than that
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


@contextmanager
def threads_worth(work: int) -> Iterator[None]:
    """While entered, faiss runs little work on this thread alone: waking another one costs more than it saves.

    On a machine whose cores are busy, a second thread may even have to wait for its turn, some milliseconds long.
    """
    if work > LITTLE:
        yield
        return
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
