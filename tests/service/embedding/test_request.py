import asyncio
from types import SimpleNamespace
from typing import Any

from service.embedding.request import hand_back


def test_each_event_loop_is_woken_once_for_all_its_requests() -> None:
    calls: list[Any] = []

    class Loop:
        def is_closed(self) -> bool:
            return False

        def call_soon_threadsafe(self, *call: Any) -> None:
            calls.append(call)

    loop = Loop()
    futures: list[Any] = [SimpleNamespace(get_loop=lambda: loop) for _ in range(3)]
    hand_back([(future, ValueError("late")) for future in futures])
    assert len(calls) == 1
    assert [future for future, _ in calls[0][1]] == futures


def test_who_has_gone_in_the_meantime_is_passed_over_and_the_others_are_answered() -> None:
    async def go() -> None:
        loop = asyncio.get_running_loop()
        complaints: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        gone: asyncio.Future[Any] = loop.create_future()
        stays: asyncio.Future[Any] = loop.create_future()
        gone.cancel()
        hand_back([(gone, ValueError("late")), (stays, ValueError("late"))])
        await asyncio.wait([stays], timeout=60)
        assert isinstance(stays.exception(), ValueError)
        assert complaints == []

    asyncio.run(go())


def test_a_closed_event_loop_has_nobody_to_tell() -> None:
    async def make() -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    future = asyncio.run(make())
    hand_back([(future, ValueError("late"))])
    assert not future.done()
