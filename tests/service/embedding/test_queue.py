import asyncio
import gc
import time
import weakref
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models import Crops, EmbeddingError
from service.embedding import (
    DeadlineExceededError,
    Embedded,
    EmbeddingQueue,
    ModelHolder,
    QueueFullError,
    ShuttingDownError,
    TooManyCropsError,
)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 120))


async def begun(task: asyncio.Task[Embedded], queue: EmbeddingQueue, depth: int) -> None:
    """Returns when the task's crops wait in the queue."""
    while queue.depth < depth and not task.done():
        await asyncio.sleep(0)


async def chances() -> None:
    """Time for the queue's threads to do what they must not."""
    for _ in range(2000):
        await asyncio.sleep(0)


def test_what_waits_while_a_batch_runs_is_the_next_batch_in_the_order_of_its_arrival(kit: SimpleNamespace) -> None:
    async def go() -> None:
        session = kit.Session()
        queue = EmbeddingQueue(SimpleNamespace(current=kit.model(session)))
        first = asyncio.create_task(queue.embed(kit.crops(1)))
        await session.running()
        others = []
        for number, marks in enumerate([(2,), (3, 4), (5,)], 1):
            others.append(asyncio.create_task(queue.embed(kit.crops(*marks))))
            await begun(others[-1], queue, (1, 3, 4)[number - 1])
        session.let_go(2)
        answers = await asyncio.gather(first, *others)
        assert session.batches == [[1], [2, 3, 4, 5]]
        assert [answer.batch_size for answer in answers] == [1, 4, 4, 4]
        for answer, marks in zip(answers, [(1,), (2,), (3, 4), (5,)], strict=True):
            np.testing.assert_array_equal(answer.vectors, [kit.vector(mark) for mark in marks])
            assert not answer.vectors.flags.writeable
            assert answer.queue_seconds >= 0
            assert answer.embed_seconds >= 0
        assert await queue.drain(kit.patience)

    run(go())


def test_a_request_of_more_crops_than_a_batch_is_split_and_answered_in_its_own_order(kit: SimpleNamespace) -> None:
    async def go() -> None:
        session = kit.Session(held=False)
        queue = EmbeddingQueue(SimpleNamespace(current=kit.model(session, lanes=2)), max_batch=4)
        marks = tuple(range(11))
        answer = await queue.embed(kit.crops(*marks))
        np.testing.assert_array_equal(answer.vectors, [kit.vector(mark) for mark in marks])
        assert max(len(batch) for batch in session.batches) <= 4
        assert await queue.drain(kit.patience)

    run(go())


def test_a_full_queue_refuses_by_crops_whether_they_come_alone_or_together(kit: SimpleNamespace) -> None:
    async def go() -> None:
        session, notes = kit.Session(), kit.Notes()
        queue = EmbeddingQueue(SimpleNamespace(current=kit.model(session)), max_waiting=4, observer=notes)
        tasks = [asyncio.create_task(queue.embed(kit.crops(1)))]
        await session.running()
        tasks.append(asyncio.create_task(queue.embed(kit.crops(2, 3, 4))))
        await begun(tasks[-1], queue, 3)
        with pytest.raises(QueueFullError, match="3 crops wait and 4 may") as refused:
            await queue.embed(kit.crops(5, 6))
        assert refused.value.retry_after > 0
        tasks.append(asyncio.create_task(queue.embed(kit.crops(7))))
        await begun(tasks[-1], queue, 4)
        with pytest.raises(QueueFullError):
            await queue.embed(kit.crops(8))
        with pytest.raises(TooManyCropsError, match="has 5 crops: send at most 4"):
            await queue.embed(kit.crops(*range(5)))
        session.let_go(2)
        await asyncio.gather(*tasks)
        assert session.batches == [[1], [2, 3, 4, 7]]
        assert notes.rejections == ["full", "full"]
        assert queue.depth == 0
        assert notes.depths[-1] == 0
        assert max(notes.depths) == 4
        assert await queue.drain(kit.patience)

    run(go())


def test_a_request_whose_deadline_has_passed_when_its_batch_is_formed_is_not_run(kit: SimpleNamespace) -> None:
    async def go() -> None:
        session, notes = kit.Session(), kit.Notes()
        queue = EmbeddingQueue(SimpleNamespace(current=kit.model(session)), observer=notes)
        first = asyncio.create_task(queue.embed(kit.crops(1)))
        await session.running()
        late = [asyncio.create_task(queue.embed(kit.crops(mark), time.monotonic() - 1)) for mark in (2, 4)]
        good = asyncio.create_task(queue.embed(kit.crops(3), time.monotonic() + 3600))
        last = asyncio.create_task(queue.embed(kit.crops(5), time.monotonic() - 1))
        await begun(last, queue, 4)
        session.let_go(2)
        await asyncio.gather(first, good)
        for task in (*late, last):
            with pytest.raises(DeadlineExceededError, match="in the queue"):
                await task
        assert session.batches == [[1], [3]]
        assert notes.rejections == ["deadline"] * 3
        assert queue.depth == 0
        assert await queue.drain(kit.patience)

    run(go())


def test_a_client_that_has_gone_is_not_run_and_leaves_no_crop_behind(kit: SimpleNamespace) -> None:
    async def go() -> None:
        session, notes = kit.Session(), kit.Notes()
        queue = EmbeddingQueue(SimpleNamespace(current=kit.model(session)), observer=notes)
        first = asyncio.create_task(queue.embed(kit.crops(1)))
        await session.running()
        crops = kit.crops(2, 3)
        pixels = weakref.ref(crops.pixels)
        gone = asyncio.create_task(queue.embed(crops))
        del crops
        await begun(gone, queue, 2)
        stays = asyncio.create_task(queue.embed(kit.crops(4)))
        await begun(stays, queue, 3)
        gone.cancel()
        await asyncio.wait([gone])
        assert gone.cancelled()
        del gone
        gc.collect()
        assert queue.depth == 1
        assert pixels() is None
        first.cancel()  # while it runs: the run goes on, and nobody is told
        await asyncio.wait([first])
        session.let_go(2)
        await stays
        assert session.batches == [[1], [4]]
        assert notes.rejections == ["disconnected", "disconnected"]
        assert await queue.drain(kit.patience)

    run(go())


def test_a_crop_that_breaks_a_run_fails_its_own_request_only(kit: SimpleNamespace) -> None:
    async def go() -> None:
        session, notes = kit.Session(), kit.Notes()
        session.poison = 3
        queue = EmbeddingQueue(SimpleNamespace(current=kit.model(session)), observer=notes)
        first = asyncio.create_task(queue.embed(kit.crops(1)))
        await session.running()
        others = [asyncio.create_task(queue.embed(kit.crops(mark))) for mark in (2, 3, 4)]
        await begun(others[-1], queue, 3)
        session.held = False
        session.let_go(1)
        await first
        answers = await asyncio.gather(*others, return_exceptions=True)
        assert isinstance(answers[1], RuntimeError)
        np.testing.assert_array_equal([answers[0].vectors[0], answers[2].vectors[0]], [kit.vector(2), kit.vector(4)])
        assert session.batches == [[1], [2, 3, 4], [2], [3], [4]]
        assert len(notes.failures) == 1
        session.poison = None
        await queue.embed(kit.crops(3))  # the threads live on
        assert await queue.drain(kit.patience)

    run(go())


def test_a_split_request_that_fails_gives_up_the_crops_that_still_wait(kit: SimpleNamespace) -> None:
    async def go() -> None:
        session = kit.Session(held=False)
        session.poison = 0
        queue = EmbeddingQueue(SimpleNamespace(current=kit.model(session)), max_batch=2)
        with pytest.raises(RuntimeError):
            await queue.embed(kit.crops(*range(6)))
        assert session.batches == [[0, 1]]
        assert queue.depth == 0
        assert await queue.drain(kit.patience)

    run(go())


def test_draining_finishes_what_was_taken_in_and_refuses_what_comes_then(kit: SimpleNamespace) -> None:
    async def go() -> None:
        session = kit.Session()
        queue = EmbeddingQueue(SimpleNamespace(current=kit.model(session)))
        first = asyncio.create_task(queue.embed(kit.crops(1)))
        await session.running()
        second = asyncio.create_task(queue.embed(kit.crops(2)))
        await begun(second, queue, 1)
        drained = asyncio.create_task(queue.drain(kit.patience))
        await asyncio.sleep(0)
        with pytest.raises(ShuttingDownError):
            await queue.embed(kit.crops(3))
        session.let_go(2)
        assert await drained
        assert first.done()
        assert second.done()
        assert session.batches == [[1], [2]]

    run(go())


def test_draining_waits_for_the_run_that_goes_on(kit: SimpleNamespace) -> None:
    async def go() -> None:
        session = kit.Session()
        queue = EmbeddingQueue(SimpleNamespace(current=kit.model(session)))
        only = asyncio.create_task(queue.embed(kit.crops(1)))
        await session.running()
        drained = asyncio.create_task(queue.drain(kit.patience))
        await chances()
        session.let_go()
        assert await drained
        assert len((await only).vectors) == 1

    run(go())


def test_draining_answers_everybody_when_its_time_is_over(kit: SimpleNamespace) -> None:
    async def go() -> None:
        session, notes = kit.Session(), kit.Notes()
        queue = EmbeddingQueue(SimpleNamespace(current=kit.model(session)), observer=notes)
        first = asyncio.create_task(queue.embed(kit.crops(1)))
        await session.running()
        second = asyncio.create_task(queue.embed(kit.crops(2)))
        await begun(second, queue, 1)
        assert not await queue.drain(0)
        for task in (first, second):
            with pytest.raises(ShuttingDownError):
                await task
        assert notes.rejections == ["shutting_down"] * 2
        assert queue.depth == 0
        session.let_go(1)
        assert await queue.drain(kit.patience)
        assert session.batches == [[1]]

    run(go())


def test_a_model_that_is_swapped_in_serves_what_comes_afterwards_and_no_batch_holds_both(kit: SimpleNamespace) -> None:
    async def go() -> None:
        old, new = kit.Session(), kit.Session()
        holder = SimpleNamespace(current=kit.model(old))
        before = holder.current
        queue = EmbeddingQueue(holder)
        first = asyncio.create_task(queue.embed(kit.crops(1)))
        await old.running()
        second = asyncio.create_task(queue.embed(kit.crops(2)))
        await begun(second, queue, 1)
        holder.current = kit.model(new)
        third = asyncio.create_task(queue.embed(kit.crops(3)))
        await begun(third, queue, 2)
        decoded_before = asyncio.create_task(queue.embed(kit.crops(4), model=before))
        await begun(decoded_before, queue, 3)
        old.let_go(3)
        new.let_go(1)
        answers = await asyncio.gather(first, second, third, decoded_before)
        assert (old.batches, new.batches) == ([[1], [2], [4]], [[3]])
        assert [answer.model for answer in answers] == [before, before, holder.current, before]
        assert await queue.drain(kit.patience)

    run(go())


def test_crops_of_another_size_are_refused_and_so_is_nothing(kit: SimpleNamespace) -> None:
    async def go() -> None:
        queue = EmbeddingQueue(SimpleNamespace(current=kit.model(kit.Session())))
        with pytest.raises(EmbeddingError, match="the crops are 64 x 64"):
            await queue.embed(Crops(np.zeros((1, 64, 64, 3), np.uint8)))
        with pytest.raises(EmbeddingError, match="no crop"):
            await queue.embed(Crops(np.zeros((0, 128, 64, 3), np.uint8)))
        assert await queue.drain(kit.patience)

    run(go())


def test_a_crop_that_is_alone_has_the_whole_machine_and_several_share_it(kit: SimpleNamespace) -> None:
    async def go() -> None:
        alone, beside = kit.Session(), kit.Session()
        order: list[str] = []
        alone.during = lambda crops: order.append("alone ended")
        beside.begins = lambda: order.append("beside began")
        queue = EmbeddingQueue(SimpleNamespace(current=kit.model(beside, lanes=2, alone=alone)))
        first = asyncio.create_task(queue.embed(kit.crops(1)))
        await alone.running()
        others = [asyncio.create_task(queue.embed(kit.crops(mark))) for mark in (2, 3)]
        await begun(others[-1], queue, 2)
        await chances()
        alone.let_go()
        await first
        await beside.running()
        await beside.running()  # both lanes at the same time
        beside.let_go(2)
        await asyncio.gather(*others)
        assert order == ["alone ended", "beside began", "beside began"]
        assert alone.batches == [[1]]
        assert sorted(beside.batches) == [[2], [3]]
        assert await queue.drain(kit.patience)

    run(go())


@pytest.mark.parametrize(("alone_takes", "least", "most"), [(1.0, 12, 20), (3.0, 195, 210)])
def test_a_lone_crop_takes_the_quicker_way_and_seldom_tries_the_other(
    kit: SimpleNamespace, alone_takes: float, least: int, most: int
) -> None:
    """By a clock of the test's own; side by side, a run takes two seconds. That the way on all threads is quick again
    is found out sooner than that it is not."""

    async def go() -> None:
        now = 0.0

        def takes(seconds: float) -> Callable[[int], None]:
            def tick(_: int) -> None:
                nonlocal now
                now += seconds

            return tick

        alone, beside = kit.Session(held=False), kit.Session(held=False)
        alone.during, beside.during = takes(alone_takes), takes(2.0)
        model = kit.model(beside, lanes=2, alone=alone, sizes=(1,))
        queue = EmbeddingQueue(SimpleNamespace(current=model), clock=lambda: now)
        for _ in range(1600):
            await queue.embed(kit.crops(1))
        quicker, other = (alone, beside) if alone_takes < 2 else (beside, alone)
        assert len(quicker.batches) + len(other.batches) == 1600
        assert least <= len(other.batches) <= most
        assert await queue.drain(kit.patience)

    run(go())


def test_a_crop_waits_for_others_where_runs_cost_the_same_whatever_their_size(kit: SimpleNamespace) -> None:
    """As on a GPU. The clock is the test's: a run takes a second by it, and crops come a tenth of a second apart."""

    async def go() -> None:
        now = 0.0

        def tick(_: int) -> None:
            nonlocal now
            now += 1.0

        session, notes = kit.Session(held=False), kit.Notes()
        session.during = tick
        model = kit.model(session, sizes=(1, 2, 4))
        for size in (1, 2, 4):
            for _ in range(3):
                model.alone.times.ran(size, 1.0)
        queue = EmbeddingQueue(
            SimpleNamespace(current=model),
            max_batch=4,
            max_wait_ms=kit.patience * 1000,
            observer=notes,
            clock=lambda: now,
        )
        await queue.embed(kit.crops(0))
        now += 0.1 - 1.0
        tasks = []
        for mark in range(1, 5):
            tasks.append(asyncio.create_task(queue.embed(kit.crops(mark))))
            await begun(tasks[-1], queue, mark)
            if mark < 4:
                await chances()
            now += 0.1
        await asyncio.gather(*tasks)
        assert session.batches == [[0], [1, 2, 3, 4]]
        assert notes.runs == [(1, "ready"), (4, "full")]
        assert await queue.drain(kit.patience)

    run(go())


def test_with_a_real_model_a_crop_gets_the_same_answer_alone_and_among_others(kit: SimpleNamespace) -> None:
    async def go() -> None:
        holder = ModelHolder("models/zoo/synthetic-tiny", device="cpu", threads=2, max_batch=8)
        queue = EmbeddingQueue(holder, max_batch=8)
        noise = Crops(np.random.default_rng(0).integers(0, 256, (24, 128, 64, 3), dtype=np.uint8))
        alone = [await queue.embed(noise[row : row + 1]) for row in range(24)]
        together = await queue.embed(noise)
        beside = await asyncio.gather(*(queue.embed(noise[row : row + 1]) for row in range(24)))
        expected = np.concatenate([answer.vectors for answer in alone])
        np.testing.assert_allclose(together.vectors, expected, atol=1e-5)
        np.testing.assert_allclose(np.concatenate([answer.vectors for answer in beside]), expected, atol=1e-5)
        assert together.viewpoints is not None
        assert together.viewpoints.shape == (24, 3)
        assert await queue.drain(kit.patience)

    run(go())
