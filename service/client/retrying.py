"""When a call is made again, and when not: as plans, which say what is to be done and do nothing.

A plan yields what it wants done, is sent what came of it, and returns the answer. So whoever can make an attempt and
wait, in threads or in an event loop, follows the same rules; and tests follow them without either.
"""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from service.client.calls import Call, Reply
from service.client.errors import BusyError, ServiceError, UnreachableError
from service.client.problems import error_of, is_problem

T = TypeVar("T")
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
_JITTER = 0.25
_UNKNOWN_AT_MOST = 3
"""Attempts where nobody ever answered: the address may well be wrong."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_LOST = (httpx.NetworkError, httpx.RemoteProtocolError)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Ask once; the plan is sent the Reply, or thrown the httpx.TransportError."""

    call: Call[Any]


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


Plan = Generator[Attempt | Pause, Any, T]


class Retrying:
    """patience: seconds that a call may spend on being asked again. clock: seconds. random: 0 to 1."""

    def __init__(self, address: str, patience: float, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self.address, self._patience = address, patience
        self.clock, self._random = clock, random
        self._answered = False

    def plan(self, call: Call[T]) -> Plan[T]:
        """Asks until there is an answer, or an error that asking again would not help, or patience ends."""
        until = self.clock() + (self._patience if call.within is None else min(self._patience, call.within))
        for attempt in itertools.count(1):
            wait = self.backoff(attempt)
            failure: ServiceError
            try:
                reply: Reply = yield Attempt(call)
            except httpx.TransportError as error:
                failure = unreachable(self.address, call, error)
                failure.__cause__ = error
                again = self._after(call, error, attempt)
            else:
                self._answered = True
                if 200 <= reply.status < 300:
                    return call.read(reply)
                failure = error_of(self.address, call, reply)
                if isinstance(failure, BusyError) and failure.retry_after is not None:
                    again, wait = True, max(wait, failure.retry_after)
                else:  # what stands before the service may be there while the service is not
                    again = call.repeatable and reply.status in (502, 503) and not is_problem(reply)
            wait *= 1 + _JITTER * self._random()
            if not again or self.clock() + wait > until:
                raise failure
            yield Pause(wait)
        raise AssertionError("counting never ends")

    def backoff(self, attempt: int) -> float:
        return float(min(_FIRST_WAIT * 2 ** min(attempt - 1, 10), _LONGEST_WAIT))

    def _after(self, call: Call[Any], error: httpx.TransportError, attempt: int) -> bool:
        if isinstance(error, _NOT_SENT):
            return not _is_refusal_to_trust(error) and (self._answered or attempt < _UNKNOWN_AT_MOST)
        return call.repeatable and isinstance(error, _LOST)


def unreachable(address: str, call: Call[Any], error: httpx.TransportError) -> UnreachableError:
    why = str(error) or type(error).__name__
    if isinstance(error, _NOT_SENT):
        rest = "is a service running there? Nothing was sent"
    elif call.repeatable:
        rest = "what was asked may be asked again without harm"
    else:
        rest = "whether it was done is not known: look before asking again"
    return UnreachableError(f"{address} does not answer {call.method} {call.path} ({why}): {rest}")


def _is_refusal_to_trust(error: BaseException | None) -> bool:
    """Whether a certificate is at fault, which will be the same next time."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
