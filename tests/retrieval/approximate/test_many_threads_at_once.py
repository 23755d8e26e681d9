"""Searches beside changes, and the turns they take."""

import threading

import numpy as np
import pytest

from retrieval.approximate import KINDS, ApproximateIndex
from retrieval.approximate.turns import Turns


@pytest.mark.parametrize("kind", KINDS)
def test_searches_beside_changes_see_one_moment_each(people, kind):
    rows = people(900, of=60, dimensions=16, seed=6)
    index = ApproximateIndex.build(kind, rows[:400])
    gone: set[int] = set()  # removed, told before the search began
    finished, wrong = threading.Event(), []

    def search(seed):
        rng = np.random.default_rng(seed)
        while not finished.is_set() and not wrong:
            known, at = set(gone), int(rng.integers(880))
            kept = np.arange(0, 900, 2)
            try:
                plain = index.search(rows[at : at + 2], 10).ids
                filtered = index.search(rows[at : at + 2], 10, allowed=kept).ids
            except Exception as error:
                wrong.append(error)
                return
            if known & set(plain.ravel().tolist()) or (filtered % 2).any() or known & set(filtered.ravel().tolist()):
                wrong.append((at, plain, filtered))

    threads = [threading.Thread(target=search, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for start in range(400, 900, 50):
        index.add(np.arange(start, start + 50), rows[start : start + 50])
        drop = np.arange(start - 400, start - 380)
        index.remove(drop)
        gone.update(drop.tolist())
        if start == 600:
            index.compact()
    finished.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(index) == 700
    assert (index.search(rows[500:], 1).ids[:, 0] == np.arange(500, 900)).mean() > 0.95


def test_a_writer_is_alone_and_neither_side_shuts_the_other_out():
    turns, inside, seen, readings = Turns(), [], [], []
    stop = threading.Event()

    def read():
        while not stop.is_set():
            with turns.reading():
                inside.append("reader")
                seen.append(tuple(inside.copy()))
                inside.remove("reader")
            readings.append(1)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for _ in range(200):
        with turns.writing():
            inside.append("writer")
            seen.append(tuple(inside.copy()))
            inside.remove("writer")
    stop.set()
    for reader in readers:
        reader.join()
    assert not any("writer" in who and len(who) > 1 for who in seen)
    assert sum("writer" in who for who in seen) == 200


def test_a_writer_waits_for_the_readers_inside():
    turns, order = Turns(), []

    def write():
        with turns.writing():
            order.append("writer")

    writer = threading.Thread(target=write)
    with turns.reading():
        writer.start()
        while not turns._wanted and writer.is_alive():  # until the writer stands at the door
            pass
        order.append("reader")
    writer.join()
    assert order == ["reader", "writer"]


def test_readers_who_waited_for_a_turn_go_before_the_next_one():
    turns, order = Turns(), []
    begun, entered = threading.Event(), threading.Event()

    def write_twice():
        with turns.writing():
            begun.set()
            entered.wait()
        with turns.writing():
            order.append("second turn")

    def read():
        with turns.reading():
            order.append("reader")

    writer = threading.Thread(target=write_twice)
    writer.start()
    begun.wait()
    reader = threading.Thread(target=read)
    reader.start()
    while not turns._waiting and reader.is_alive():  # until the reader stands at the door
        pass
    entered.set()
    writer.join()
    reader.join()
    assert order == ["reader", "second turn"]


def test_readers_are_together():
    turns, together = Turns(), threading.Barrier(2, timeout=30)

    def read():
        with turns.reading():
            together.wait()

    other = threading.Thread(target=read)
    other.start()
    read()
    other.join()
    assert not together.broken
