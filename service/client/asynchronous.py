"""The client of programs with an event loop, asyncio's: the same calls, awaited."""

from __future__ import annotations

import asyncio
import random as chance
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

import httpx

from service.client import connection, searching, waiting
from service.client import galleries as gallery_calls
from service.client import items as item_calls
from service.client.bulk import AT_ONCE, Added, Adding, Lot, Lots, OnConflict, Rows
from service.client.calls import Call, Reply
from service.client.described import describe_by
from service.client.items import Page
from service.client.new_items import NewItem
from service.client.retrying import Pause, Plan, Retrying

P = ParamSpec("P")
T = TypeVar("T")


def sent(describe: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """The method that makes a call, and returns its answer."""

    async def method(client: AsyncClient, /, *arguments: P.args, **named: P.kwargs) -> T:
        return await client._send(describe(*arguments, **named))

    describe_by(describe, method)
    return method


def turned(describe: Callable[P, Call[Page[T]]]) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]:
    """The method that goes through all pages."""

    def method(client: AsyncClient, /, *arguments: P.args, **named: P.kwargs) -> AsyncIterator[T]:
        return client._pages(describe(*arguments, **named))

    describe_by(describe, method)
    return method


def followed(
    plan: Callable[Concatenate[Retrying, P], Plan[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """The method that follows a plan to its end."""

    async def method(client: AsyncClient, /, *arguments: P.args, **named: P.kwargs) -> T:
        return await client._follow(plan(client._retrying, *arguments, **named))

    describe_by(plan, method, without=1)
    return method


class AsyncClient:
    """A service at an address; for the tasks of one event loop. Arguments as those of `Client`. Pictures that are given
    as paths are read in the event loop: read them elsewhere where the disk is slow."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        purpose: str | None = None,
        patience: float = 30.0,
        timeout: float = 120.0,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.url = connection.checked_address(url)
        self._http = httpx.AsyncClient(transport=transport, **connection.options(self.url, key, purpose, timeout))
        self._retrying = Retrying(self.url, patience, clock, random)
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"AsyncClient({self.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def add_many(
        self,
        gallery: str,
        rows: Iterable[NewItem] | AsyncIterable[NewItem],
        *,
        on_conflict: OnConflict = "replace",
        progress: Callable[[Added], None] | None = None,
    ) -> Added:
        """As `Client.add_many`; rows may also come from an asynchronous iterable."""
        adding = Adding(gallery, on_conflict, progress)
        under_way: deque[tuple[Lot, asyncio.Task[Rows] | None]] = deque()

        async def take() -> None:
            lot, task = under_way[0]
            answered = None if task is None else await task
            under_way.popleft()
            adding.take(lot, answered)

        try:
            async for lot in _lots(rows):
                if len(under_way) == AT_ONCE:
                    await take()
                under_way.append((lot, asyncio.create_task(self._send(adding.call(lot))) if lot.rows else None))
            while under_way:
                await take()
        finally:
            tasks = [task for _, task in under_way if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return adding.added

    ready = followed(waiting.ready)
    wait_until_ready = followed(waiting.wait_until_ready)
    version = sent(gallery_calls.version)

    search = sent(searching.search)
    embed = sent(searching.embed)

    add = sent(item_calls.add)
    get = sent(item_calls.get)
    crop = sent(item_calls.crop)
    items = turned(item_calls.items)
    delete = sent(item_calls.delete)

    galleries = sent(gallery_calls.galleries)
    gallery = sent(gallery_calls.gallery)
    create = sent(gallery_calls.create)
    drop = sent(gallery_calls.drop)
    compact = sent(gallery_calls.compact)
    verify = sent(gallery_calls.verify)

    give_feedback = sent(gallery_calls.give_feedback)
    withdraw_feedback = sent(gallery_calls.withdraw_feedback)
    feedback = sent(gallery_calls.feedback)

    take_snapshot = sent(gallery_calls.take_snapshot)
    snapshots = sent(gallery_calls.snapshots)
    restore = sent(gallery_calls.restore)
    delete_snapshot = sent(gallery_calls.delete_snapshot)

    job = sent(gallery_calls.job)
    jobs = sent(gallery_calls.jobs)
    wait = followed(waiting.wait)

    async def _send(self, call: Call[T]) -> T:
        return await self._follow(self._retrying.plan(call))

    async def _follow(self, plan: Plan[T]) -> T:
        try:
            step = next(plan)
            while True:
                if isinstance(step, Pause):
                    await self._sleep(step.seconds)
                    step = plan.send(None)
                    continue
                try:
                    reply = await self._once(step.call)
                except httpx.TransportError as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(reply)
        except StopIteration as ended:
            return cast(T, ended.value)

    async def _once(self, call: Call[Any]) -> Reply:
        response = await self._http.request(**connection.request(self.url, call))
        return Reply(response.status_code, response.headers, response.content)

    async def _pages(self, first: Call[Page[T]]) -> AsyncIterator[T]:
        call: Call[Page[T]] | None = first
        while call is not None:
            page = await self._send(call)
            for held in page.held:
                yield held
            call = page.next


async def _lots(rows: Iterable[NewItem] | AsyncIterable[NewItem]) -> AsyncIterator[Lot]:
    lots = Lots()
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            if (lot := lots.take(row)) is not None:
                yield lot
        if (last := lots.rest()) is not None:
            yield last
        return
    for lot in lots.of(rows):
        yield lot
