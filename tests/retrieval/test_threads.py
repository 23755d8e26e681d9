import threading

import faiss
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from retrieval.errors import RetrievalError
from retrieval.neighbours import nearest
from retrieval.threads import limited_threads, spread, threads_worth


def pools():
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}


def test_threads_are_limited_while_inside_and_given_back_after():
    with threadpool_limits(2):
        before = pools()
        assert set(before.values()) == {2}
        with limited_threads(1):
            assert set(pools().values()) == {1}
        assert pools() == before
        with limited_threads(None):
            assert pools() == before


def test_fewer_than_one_thread_is_refused():
    with pytest.raises(RetrievalError, match="threads is 0: use at least 1"):
        limited_threads(0)


def test_results_come_in_the_order_of_the_items_from_several_threads_with_one_blas_thread_each():
    meeting = threading.Barrier(3, timeout=30)  # passed only if three work at the same time

    def work(item):
        if item < 3:
            meeting.wait()
        return item * item, threading.get_ident(), faiss.omp_get_max_threads(), set(pools().values())

    results = list(spread(work, range(20), threads=3))
    assert [square for square, _, _, _ in results] == [n * n for n in range(20)]
    assert threading.get_ident() not in {thread for _, thread, _, _ in results}
    assert {omp for _, _, omp, _ in results} == {1}
    assert all(numbers == {1} for _, _, _, numbers in results)


def test_one_thread_or_one_item_stays_on_the_calling_thread():
    here = threading.get_ident()
    assert list(spread(lambda _: threading.get_ident(), [1, 2, 3], threads=1)) == [here] * 3
    assert list(spread(lambda _: threading.get_ident(), [1], threads=4)) == [here]
    assert list(spread(lambda item: item, [], threads=4)) == []


def test_no_more_items_are_taken_up_ahead_than_there_are_threads_for():
    taken = []

    class Counted(list[int]):
        def __iter__(self):
            for item in super().__iter__():
                taken.append(item)
                yield item

    results = spread(lambda item: item, Counted(range(100)), threads=2)
    assert next(results) == 0
    assert taken == [0, 1, 2]
    assert list(results) == list(range(1, 100))


def test_an_error_in_the_work_reaches_the_caller():
    def work(item):
        if item == 5:
            raise RetrievalError("item 5 is broken")
        return item

    with pytest.raises(RetrievalError, match="item 5 is broken"):
        list(spread(work, range(10), threads=2))


def test_little_work_is_done_on_one_thread_and_much_on_all():
    with threadpool_limits(2):
        with threads_worth(10):
            assert faiss.omp_get_max_threads() == 1
        assert faiss.omp_get_max_threads() == 2
        with threads_worth(10**9):
            assert faiss.omp_get_max_threads() == 2


def test_a_search_on_several_threads_gives_the_bits_of_one(people, monkeypatch):
    monkeypatch.setattr("retrieval.exact_search.ROWS", 16)
    rows = people(200, dimensions=32)
    one, three = (nearest(rows, rows, 7, exclude_self=True, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(three.indices, one.indices)
    np.testing.assert_array_equal(three.similarities, one.similarities)
    np.testing.assert_array_equal(three.farthest, one.farthest)
