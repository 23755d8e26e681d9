import asyncio

import pytest

from service.api.places import Places
from service.embedding import QueueFullError


@pytest.fixture
def refused():
    return []


def test_so_many_crops_are_let_in_and_no_more(refused):
    places = Places(10, lambda: refused.append(1))
    with places.of(6):
        with places.of(4):
            with pytest.raises(QueueFullError, match=r"10 crops are under way and 10 may be, one more is too many"):
                places.check()
            with pytest.raises(QueueFullError, match="3 more are too many"), places.of(3):
                raise AssertionError
        places.check()
        with places.of(4):
            assert places.taken == 10
    assert (places.taken, len(refused)) == (0, 2)


def test_places_are_given_back_whatever_becomes_of_the_request(refused):
    places = Places(1, lambda: refused.append(1))

    async def gone():
        with places.of(1):
            await asyncio.sleep(3600)

    async def ask():
        task = asyncio.create_task(gone())
        await asyncio.sleep(0)
        assert places.taken == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(ask())
    with pytest.raises(ValueError, match="x"), places.of(1):
        raise ValueError("x")
    assert places.taken == 0


def test_more_than_there_ever_are_is_left_to_the_queue_to_refuse(refused):
    places = Places(4, lambda: refused.append(1))
    with places.of(5):
        assert not refused
