"""Crops wait here for the model: bounded, in order, never longer than they may, and in batches where that pays."""

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from models import Crops, EmbeddingError, Embeddings
from service.embedding.errors import DeadlineExceededError, QueueFullError, ShuttingDownError, TooManyCropsError
from service.embedding.model import Lane, ServedModel
from service.embedding.observer import NoObserver, Observer, Release
from service.embedding.pace import Arrivals
from service.embedding.request import Embedded, Request, hand_back

# A lone crop tries so seldom the lane that was slower, in case it no longer is. To run on one thread takes about twice
# as long as on all, and never much less: that is seldom worth a look. All threads are slow only while others want the
# cores.
_TRY_ALONE, _TRY_BESIDE = 8, 128
# What a caller is told to wait for while no run was timed yet.
_UNKNOWN_SECONDS = 1.0


class Holder(Protocol):
    """What is asked of a `ModelHolder`."""

    @property
    def current(self) -> ServedModel: ...


_Part: TypeAlias = tuple[Request, slice]
"""A request and which of its crops."""


@dataclass(frozen=True, slots=True)
class _Batch:
    lane: Lane
    parts: tuple[_Part, ...]
    release: Release

    def __len__(self) -> int:
        return sum(rows.stop - rows.start for _, rows in self.parts)


class EmbeddingQueue:
    """Between the event loop, which never waits for a model, and the threads that run it.

    Requests are served in the order of their arrival. One of several crops may be split over batches: nothing in its
    answer shows that, for an answer does not depend on what its crop was run with. A request that came while one model
    served is answered by that model. One that has gone, or whose deadline has passed when its batch is formed, is not
    run. When a run fails, its requests are run one by one, so that none fails through another's crop.
    """

    def __init__(
        self,
        holder: Holder,
        *,
        max_batch: int = 32,
        max_waiting: int = 256,
        max_wait_ms: float = 5.0,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """max_batch: crops in one run. max_waiting: crops that may wait, apart from those being run. max_wait_ms: for
        how long at most a crop is held back for others to join it. clock: what deadlines are told in.
        """
        self._holder = holder
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._max_wait = max_wait_ms / 1000
        self._observer: Observer = observer or NoObserver()
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: OrderedDict[Request, None] = OrderedDict()
        self._unsettled: set[Request] = set()
        self._crops = 0
        self._running = 0
        self._alone_runs = False
        self._lone = 0
        self._arrivals = Arrivals()
        self._closing = False
        self._stopped = False
        self._lanes = holder.current.side_by_side.at_once
        self._threads = [
            threading.Thread(target=self._consume, name=f"embedding-{number}", daemon=True)
            for number in range(self._lanes)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def depth(self) -> int:
        """Crops that wait."""
        return self._crops

    async def embed(self, crops: Crops, deadline: float | None = None, *, model: ServedModel | None = None) -> Embedded:
        """The crops' vectors, in order.

        crops: one or more, made for `model`, which is the current one where none is given. deadline: when the answer
        stops being of use, by the queue's clock (`time.monotonic`).
        """
        future: asyncio.Future[Embedded] = asyncio.get_running_loop().create_future()
        model = model or self._holder.current
        request = Request(crops, model, deadline, self._clock(), future)
        self._check(request)
        self._accept(request)
        try:
            return await future
        except asyncio.CancelledError:
            self._abandon(request)
            raise

    async def drain(self, timeout: float) -> bool:
        """Takes nothing in any more and finishes what was taken in; whether that was done in so many seconds.

        What was not done by then is answered with ShuttingDownError. Afterwards the queue has ended.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        finished = await asyncio.to_thread(self._wait_until_idle, timeout)
        with self._changed:
            self._stopped = True
            left = list(self._unsettled)
            for _ in left:
                self._observer.rejected("shutting_down")
            self._forget(left)
            self._changed.notify_all()
        hand_back([(request.future, _shutting_down()) for request in left])
        if finished:
            for thread in self._threads:
                thread.join()
        await asyncio.sleep(0)  # what was handed back is given out before anybody goes
        return finished

    def _check(self, request: Request) -> None:
        spec, crops = request.model.card.input, request.crops
        if not 1 <= len(crops) <= self._max_waiting:
            if len(crops):
                raise TooManyCropsError(f"the request has {len(crops)} crops: send at most {self._max_waiting} at once")
            raise EmbeddingError("the request has no crop: send one or more")
        if (crops.height, crops.width) != (spec.height, spec.width):
            raise EmbeddingError(
                f"the crops are {crops.height} x {crops.width} (height x width), {request.model.name} takes "
                f"{spec.height} x {spec.width}: make them with models.to_crop and this model's card.input"
            )

    def _accept(self, request: Request) -> None:
        with self._changed:
            if self._closing:
                self._observer.rejected("shutting_down")
                raise _shutting_down()
            if self._crops + len(request.crops) > self._max_waiting:
                self._observer.rejected("full")
                retry_after = self._backlog_seconds(request.model)
                raise QueueFullError(
                    f"{self._crops} crops wait and {self._max_waiting} may: ask again in {retry_after:.2g} s",
                    retry_after,
                )
            self._waiting[request] = None
            self._unsettled.add(request)
            self._crops += len(request.crops)
            self._arrivals.came(len(request.crops), request.arrived)
            self._observer.depth(self._crops)
            self._changed.notify()

    def _abandon(self, request: Request) -> None:
        """The client has gone: nothing of the request is kept, but a run that goes on."""
        with self._changed:
            if request in self._unsettled:
                self._observer.rejected("disconnected")
                self._forget([request])

    def _forget(self, requests: list[Request]) -> None:
        for request in requests:
            self._unsettled.discard(request)
            if request in self._waiting:
                del self._waiting[request]
                self._crops -= request.waiting
        self._observer.depth(self._crops)

    def _backlog_seconds(self, model: ServedModel) -> float:
        per_crop = model.side_by_side.times.per_crop()
        return _UNKNOWN_SECONDS if per_crop is None else self._crops * per_crop / self._lanes

    def _wait_until_idle(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._unsettled and not self._running, timeout)

    def _consume(self) -> None:
        while (batch := self._next_batch()) is not None:
            self._run(batch)

    def _next_batch(self) -> _Batch | None:
        """Waits for work; None when there will be none any more."""
        until: float | None = None
        wanted = 0
        with self._changed:
            while not self._stopped:
                now = self._clock()
                self._drop_late(now)
                if not self._waiting or self._alone_runs:
                    if self._closing and not self._waiting:
                        return None
                    until, wanted = None, 0
                    self._changed.wait()
                    continue
                model = next(iter(self._waiting)).model
                if until is None and (more := self._more(model, now)) is not None:
                    wanted, until = more
                if until is not None and self._crops < wanted and now < until and not self._closing:
                    self._changed.wait(until - now)
                    continue
                release: Release = "ready"
                if self._crops >= (wanted or self._max_batch):
                    release = "full"
                elif until is not None:
                    release = "timeout"
                return self._form(model, now, release)
        return None

    def _more(self, model: ServedModel, now: float) -> tuple[int, float] | None:
        """Until how many crops, and until when, to wait for others; None if that does not pay."""
        if self._lanes > 1:  # then batches are no gain, and the other lanes are there for who comes
            return None
        found = model.side_by_side.times.worth_waiting(self._crops, self._arrivals.gap(now))
        if found is None or found[1] > self._max_wait:
            return None
        return found[0], now + found[1]

    def _form(self, model: ServedModel, now: float, release: Release) -> _Batch:
        """Takes the first requests' crops into a batch. The first of all is of this model and not late."""
        lane = self._lane(model)
        share = -(-self._crops // (self._lanes - self._running))
        room = lane.times.take(min(share, self._max_batch))
        parts: list[_Part] = []
        while room and self._waiting:
            request = next(iter(self._waiting))
            if request.model is not model:
                break
            if request.begun is None:
                self._observer.waited(now - request.arrived)
            rows = request.take(room, now)
            room -= rows.stop - rows.start
            self._crops -= rows.stop - rows.start
            parts.append((request, rows))
            if not request.waiting:
                del self._waiting[request]
            self._drop_late(now)
        self._running += 1
        self._alone_runs = lane is model.alone and lane is not model.side_by_side
        self._observer.depth(self._crops)
        if self._waiting:  # for the other lanes
            self._changed.notify_all()
        return _Batch(lane, tuple(parts), release)

    def _lane(self, model: ServedModel) -> Lane:
        """A crop that is alone in the house may have all of it, where that is quicker."""
        if model.alone is model.side_by_side or self._crops > 1 or self._running:
            return model.side_by_side
        self._lone += 1
        # As it was lately: where other programs want the cores, too, threads that share a run wait for one another.
        alone, beside = model.alone.times.lately(1), model.side_by_side.times.lately(1)
        quicker = alone is None or (beside is not None and alone <= beside)
        if self._lone % (_TRY_BESIDE if quicker else _TRY_ALONE) == 0:
            quicker = not quicker
        return model.alone if quicker else model.side_by_side

    def _drop_late(self, now: float) -> None:
        """Answers those at the head whose time is over."""
        late: list[tuple[asyncio.Future[Embedded], Exception]] = []
        while self._waiting:
            request = next(iter(self._waiting))
            if request.deadline is None or now < request.deadline:
                break
            self._observer.rejected("deadline")
            self._forget([request])
            late.append((request.future, _late(request, now)))
        if late:
            hand_back(late)

    def _run(self, batch: _Batch) -> None:
        """Runs a batch; if that fails, each of its requests by itself."""
        started = self._clock()
        answers: list[Embeddings | Exception]
        try:
            answers = list(_embed(batch.lane, batch.parts))
        except Exception as error:  # whatever it is, it is these requests' and not the end of this thread
            self._observer.failed(error)
            answers = [_embed_alone(batch.lane, part) if len(batch.parts) > 1 else error for part in batch.parts]
            self._finish(batch, answers, None)
        else:
            self._finish(batch, answers, self._clock() - started)

    def _finish(self, batch: _Batch, answers: list[Embeddings | Exception], seconds: float | None) -> None:
        outcomes = []
        with self._changed:
            now = self._clock()
            if seconds is not None:
                batch.lane.times.ran(len(batch), seconds)
                self._observer.ran(len(batch), batch.release, seconds)
            for (request, rows), answer in zip(batch.parts, answers, strict=True):
                request.answer(rows, answer, len(batch))
                if request.settled and request in self._unsettled:
                    self._forget([request])
                    outcomes.append((request.future, request.outcome(now)))
            self._running -= 1
            if self._alone_runs or self._closing:
                self._alone_runs = False
                self._changed.notify_all()
        hand_back(outcomes)


def _embed(lane: Lane, parts: tuple[_Part, ...]) -> Iterator[Embeddings]:
    """The answers of each part, from one run."""
    crops = [request.crops[rows] for request, rows in parts]
    embeddings = lane.session.embed(crops[0] if len(crops) == 1 else _joined(crops))
    start = 0
    for of in crops:
        rows = slice(start, start + len(of))
        viewpoints = None if embeddings.viewpoints is None else embeddings.viewpoints[rows]
        yield Embeddings(embeddings.vectors[rows], viewpoints)
        start = rows.stop


def _embed_alone(lane: Lane, part: _Part) -> Embeddings | Exception:
    try:
        return next(_embed(lane, (part,)))
    except Exception as error:
        return error


def _joined(crops: list[Crops]) -> Crops:
    pixels = np.concatenate([of.pixels for of in crops])
    pixels.flags.writeable = False
    return Crops(pixels)


def _shutting_down() -> ShuttingDownError:
    return ShuttingDownError("the service is shutting down: ask again when it has started anew")


def _late(request: Request, now: float) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"the deadline passed after {now - request.arrived:.3g} s in the queue: allow more time, or send less at once"
    )
