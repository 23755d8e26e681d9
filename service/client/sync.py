"""The client that waits for each answer."""

from __future__ import annotations

import random as chance
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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


def sent(describe: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    """The method that makes a call, and returns its answer."""

    def method(client: Client, /, *arguments: P.args, **named: P.kwargs) -> T:
        return client._send(describe(*arguments, **named))

    describe_by(describe, method)
    return method


def turned(describe: Callable[P, Call[Page[T]]]) -> Callable[Concatenate[Client, P], Iterator[T]]:
    """The method that goes through all pages."""

    def method(client: Client, /, *arguments: P.args, **named: P.kwargs) -> Iterator[T]:
        return client._pages(describe(*arguments, **named))

    describe_by(describe, method)
    return method


def followed(plan: Callable[Concatenate[Retrying, P], Plan[T]]) -> Callable[Concatenate[Client, P], T]:
    """The method that follows a plan to its end."""

    def method(client: Client, /, *arguments: P.args, **named: P.kwargs) -> T:
        return client._follow(plan(client._retrying, *arguments, **named))

    describe_by(plan, method, without=1)
    return method


class Client:
    """A service at an address; any number of threads may use one client at the same time.

    url: also with a prefix, where the service stands behind a proxy. key: an API key, where the service has keys.
    purpose: what is written in the audit log beside everything that is asked. patience: seconds that a call may spend
    on being asked again, where that is safe. timeout: seconds without a byte after which an answer is given up.
    transport: httpx's, for certificates or a proxy of one's own. clock, sleep, random: of tests.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        purpose: str | None = None,
        patience: float = 30.0,
        timeout: float = 120.0,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.url = connection.checked_address(url)
        self._http = httpx.Client(transport=transport, **connection.options(self.url, key, purpose, timeout))
        self._retrying = Retrying(self.url, patience, clock, random)
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def add_many(
        self,
        gallery: str,
        rows: Iterable[NewItem],
        *,
        on_conflict: OnConflict = "replace",
        progress: Callable[[Added], None] | None = None,
    ) -> Added:
        """Adds or replaces any number of items, in requests of at most 64 rows, two at a time; rows are taken as they
        are needed. A row that is wrong does not hinder the others: it stands in `not_added`, with the reason.

        on_conflict: refuse leaves an item alone that is there. progress: called after each request, in this thread.
        Where this raises, what was committed stays: with replace, the same rows again change nothing that is there.
        """
        adding = Adding(gallery, on_conflict, progress)
        under_way: deque[tuple[Lot, Future[Rows] | None]] = deque()

        def take() -> None:
            lot, future = under_way.popleft()
            adding.take(lot, None if future is None else future.result())

        with ThreadPoolExecutor(AT_ONCE, "vantage-client") as senders:
            try:
                for lot in Lots().of(rows):
                    under_way.append((lot, senders.submit(self._send, adding.call(lot)) if lot.rows else None))
                    if len(under_way) > AT_ONCE:
                        take()
                while under_way:
                    take()
            finally:
                for _, future in under_way:
                    if future is not None:
                        future.cancel()
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

    def _send(self, call: Call[T]) -> T:
        return self._follow(self._retrying.plan(call))

    def _follow(self, plan: Plan[T]) -> T:
        try:
            step = next(plan)
            while True:
                if isinstance(step, Pause):
                    self._sleep(step.seconds)
                    step = plan.send(None)
                    continue
                try:
                    reply = self._once(step.call)
                except httpx.TransportError as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(reply)
        except StopIteration as ended:
            return cast(T, ended.value)

    def _once(self, call: Call[Any]) -> Reply:
        response = self._http.request(**connection.request(self.url, call))
        return Reply(response.status_code, response.headers, response.content)

    def _pages(self, first: Call[Page[T]]) -> Iterator[T]:
        call: Call[Page[T]] | None = first
        while call is not None:
            page = self._send(call)
            yield from page.held
            call = page.next
