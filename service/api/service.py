"""What there is one of while the service runs, and which state it is in."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from service.access import Home, KeyStore, RateLimiter
from service.api.auditing import Recorder
from service.api.in_time import InTime
from service.api.jobs import Jobs
from service.api.metrics import Metrics
from service.api.places import Places
from service.api.problems import Problem
from service.api.workers import Workers
from service.embedding import Decoder, EmbeddingQueue, ModelHolder
from service.gallery import GalleryEngine, GalleryInfo, GallerySettings, UnavailableError, roll_call
from service.gallery.embedded.upkeep import Upkeep
from service.settings import ServiceSettings

_SHARED_KEPT_SECONDS = 2.0
State = Literal["starting", "ready", "failed", "stopping"]


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """Everything that answers requests.

    home: of keys, audit log and jobs. reachable: UnavailableError while the galleries cannot be reached; it may wait.
    searches, writes: threads for reading galleries and for writing to them; writers never keep searches waiting.
    """

    home: Home
    keys: KeyStore
    limiter: RateLimiter
    recorder: Recorder
    engine: GalleryEngine
    reachable: Callable[[], None]
    holder: ModelHolder
    decoder: Decoder
    queue: EmbeddingQueue
    searches: Workers
    writes: Workers
    jobs: Jobs
    housekeeping: Upkeep
    places: Places
    in_time: InTime


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done at the start, and how much of it is done: galleries loaded, of so many."""

    step: str
    done: int = 0
    of: int = 0


class Service:
    """failure: the sentence that says why the service did not start. settled: set when it is ready or has failed."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.metrics = Metrics(self._galleries)
        self.state: State = "starting"
        self.progress = Progress("waiting to begin")
        self.failure: str | None = None
        self.settled = threading.Event()
        self._running: Running | None = None
        # Another replica may drop a gallery and make one of that name; where there is none, all is told at once.
        self._kept_seconds = math.inf if settings.gallery == "embedded" else _SHARED_KEPT_SECONDS
        self._gallery_settings: dict[str, tuple[GallerySettings, float]] = {}
        self._forgotten = 0
        self._keeping = threading.Lock()

    @property
    def running(self) -> Running:
        """What answers requests; not-ready if nothing does yet, or no more."""
        if self._running is None or self.state != "ready":
            raise self.why_not_ready()
        return self._running

    def why_not_ready(self) -> Problem:
        if self.state == "failed":
            return Problem("not-ready", f"the service could not start: {self.failure}")
        if self.state == "stopping":
            return Problem("shutting-down", "the service is shutting down: ask again when it has started anew")
        at = self.progress
        count = f" ({at.done} of {at.of})" if at.of else ""
        return Problem("not-ready", f"the service is starting: {at.step}{count}")

    def begins(self, running: Running) -> None:
        self._running = running
        self.state = "ready"
        self.metrics.ready(True)
        self.settled.set()

    def fails(self, sentence: str) -> None:
        self.failure = sentence
        self.state = "failed"
        self.settled.set()

    def stops(self) -> Running | None:
        """Lets no new request in; what is to be closed."""
        if self.state != "failed":
            self.state = "stopping"
        self.metrics.ready(False)
        return self._running

    async def settings_of(self, gallery: str) -> GallerySettings:
        """A gallery's settings, which stay with it: kept here, because asking the engine for them costs more."""
        now = time.monotonic()
        held, good_until = self._gallery_settings.get(gallery, (None, 0.0))
        if held is None or now >= good_until:
            before, running = self._forgotten, self.running
            held = (await running.searches.run(lambda: running.engine.info(gallery))).settings
            with self._keeping:
                if self._forgotten == before:  # else it may be another gallery by now
                    self._gallery_settings[gallery] = held, now + self._kept_seconds
        return held

    def forget(self, gallery: str) -> None:
        """A gallery of that name was made, dropped or restored."""
        with self._keeping:
            self._forgotten += 1
            self._gallery_settings.pop(gallery, None)
        if self._running is not None:
            self._running.in_time.forget(gallery)

    def _galleries(self) -> list[GalleryInfo]:
        if self._running is None or self.state != "ready":
            return []
        try:
            return roll_call(self._running.engine)[0]
        except UnavailableError:  # what else was counted is told all the same
            return []
