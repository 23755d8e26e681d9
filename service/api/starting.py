"""From settings to a service that answers, on a thread beside the event loop, and the way back."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from models import CARD_FILE, ZOO, BundleError, ModelError, list_bundles
from retrieval import RetrievalError
from retrieval.approximate import KINDS
from service.access import (
    AccessError,
    DatabaseAwayError,
    Home,
    KeyStore,
    KeyStoreError,
    RateLimiter,
    may_bind,
    open_home,
)
from service.api.auditing import Recorder
from service.api.housekeeping import housekeeping
from service.api.in_time import InTime
from service.api.jobs import Jobs
from service.api.places import Places
from service.api.service import Progress, Running, Service
from service.api.workers import Workers
from service.demo import load_demo
from service.embedding import Decoder, EmbeddingQueue, ModelHolder, ServingError
from service.gallery import CorruptError, GalleryEngine, GalleryError, UnavailableError
from service.gallery.embedded import EmbeddedEngine, Sizes
from service.gallery.embedded.building import works_here
from service.images import ImageLimits
from service.indexing import IndexingError
from service.settings import ServiceSettings

log = logging.getLogger("vantage")

# Searches leave the interpreter for most of their time; more threads than this only wait for one another.
_SEARCH_THREADS = 4
_WRITE_THREADS = 2
_WAITING_PER_THREAD = 64
# A server that is away is asked again so soon, and ever more seldom up to the second of these.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
T = TypeVar("T")


class _GivenUpError(Exception):
    """The service is to stop before it has started."""


class _UnguardedError(AccessError):
    """Strangers could do anything, for want of a key."""


def start(service: Service) -> threading.Thread:
    """Begins to start; `service.settled` tells when that is done, `service.failure` whether it went wrong."""
    thread = threading.Thread(target=_start, args=(service,), name="starting")
    thread.start()
    return thread


async def stop(service: Service, starting: threading.Thread) -> None:
    """Lets nothing new in, finishes what was taken in within the time for that, and lets go of everything."""
    running = service.stops()
    await asyncio.to_thread(starting.join)
    if running is None:
        return
    log.info("shutting down")
    if not await running.queue.drain(service.settings.shutdown_seconds):
        log.warning("some crops were not embedded within %g s and were given up", service.settings.shutdown_seconds)
    await asyncio.to_thread(_close, running)


def _start(service: Service) -> None:
    try:
        with ExitStack() as opened:
            running = _open(service, opened)
            _still_wanted(service)
            opened.pop_all()
            running.housekeeping.start()
            service.begins(running)
        log.info("ready: %s on %s", running.holder.name, running.holder.provider)
    except _GivenUpError:
        service.settled.set()
    except (AccessError, GalleryError, IndexingError, ModelError, RetrievalError, ServingError, OSError) as error:
        log.error("the service could not start: %s", error)
        service.fails(str(error))
    except Exception as error:
        log.exception("the service could not start")
        service.fails(f"an unexpected {type(error).__name__}, see the log")


def _open(service: Service, opened: ExitStack) -> Running:
    settings = service.settings
    home, keys = _open_home(service, opened)
    if settings.database_url is None:
        _check_access(settings, keys)
    else:  # where a key can be made as soon as the database is there, and before no replica runs
        _once_there(service, lambda: _check_access(settings, keys))
    if settings.trust_network and not keys.has_keys:
        log.warning(
            "there are no keys, and trust_network is set: whoever reaches port %d may search, add and delete. Let "
            "nobody but this machine reach it, or make a key with vantage key create",
            settings.port,
        )
    engine, reachable = _open_engine(service)
    opened.callback(engine.close)
    recorder = Recorder(home.audit(settings.audit_days) if settings.audit else None)
    opened.callback(recorder.close)
    _step(service, "trying the kinds of index")
    for kind in KINDS:  # not when one is first wanted: some builds of faiss pass over filters without a word
        works_here(kind)
    _step(service, "loading the model")
    holder = ModelHolder(
        model_folder(settings.model), device=settings.device, threads=_threads(settings), max_batch=settings.max_batch
    )
    if settings.demo:
        _step(service, "making the demo gallery")
        load_demo(engine, holder.current.bundle, device=settings.device, threads=settings.threads)
    service.metrics.serves(holder.sha256, holder.provider, settings.device)
    if isinstance(engine, EmbeddedEngine):
        _load_galleries(service, engine)
    jobs = Jobs(recorder.check, home.jobs())
    limits = ImageLimits(bytes=settings.max_image_bytes, pixels=settings.max_image_pixels)
    return Running(
        home=home,
        keys=keys,
        limiter=RateLimiter(),
        recorder=recorder,
        engine=engine,
        reachable=reachable,
        holder=holder,
        decoder=Decoder(holder, threads=settings.decoders, max_waiting=settings.max_waiting, limits=limits),
        queue=EmbeddingQueue(
            holder,
            max_batch=settings.max_batch,
            max_waiting=settings.max_waiting,
            max_wait_ms=settings.max_wait_ms,
            observer=service.metrics,
        ),
        searches=Workers("a search", _SEARCH_THREADS, _SEARCH_THREADS * _WAITING_PER_THREAD),
        # What could not be recorded must not be done.
        writes=Workers("a write", _WRITE_THREADS, _WRITE_THREADS * _WAITING_PER_THREAD, recorder.check),
        jobs=jobs,
        housekeeping=housekeeping(recorder, jobs),
        in_time=InTime(engine),
        places=Places(settings.max_waiting + settings.max_batch, lambda: service.metrics.rejected("full")),
    )


def _open_home(service: Service, opened: ExitStack) -> tuple[Home, KeyStore]:
    settings = service.settings
    url = settings.database_url
    if url is None:
        _step(service, "opening the data directory")
        settings.data.mkdir(parents=True, exist_ok=True)
    else:
        _step(service, "opening the database")
    home = _once_there(service, lambda: open_home(settings.data, url))
    opened.callback(home.close)
    keys = home.keys(watch=True)
    opened.callback(keys.close)
    return home, keys


def _check_access(settings: ServiceSettings, keys: KeyStore) -> None:
    if (refusal := may_bind(settings.host, keys.has_keys, settings.trust_network)) is not None:
        raise _UnguardedError(refusal)


def _open_engine(service: Service) -> tuple[GalleryEngine, Callable[[], None]]:
    """The engine, and what raises UnavailableError while it cannot be reached."""
    settings = service.settings
    if settings.gallery == "embedded":
        return EmbeddedEngine.open(settings.data, sizes=Sizes.for_device(settings.device)), lambda: None
    from service.milvus import open_milvus

    _step(service, "reaching Milvus")
    engine = _once_there(service, lambda: open_milvus(settings))
    try:
        _once_there(service, engine.check)
    except BaseException:
        engine.close()
        raise
    return engine, engine.check


def _once_there(service: Service, work: Callable[[], T]) -> T:
    """What it gives, as soon as what it wants is there: until then /readyz says what is waited for."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return work()
        except (DatabaseAwayError, UnavailableError, KeyStoreError, _UnguardedError) as error:
            if service.progress.step != (reason := f"waiting, because {error}"):
                _step(service, reason)
        end = time.monotonic() + pause
        while time.monotonic() < end:
            time.sleep(0.1)
            _still_wanted(service)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _load_galleries(service: Service, engine: EmbeddedEngine) -> None:
    names = engine.galleries()
    for done, name in enumerate(names):
        _step(service, "loading galleries", done, len(names))
        try:
            engine.load(name)
        except CorruptError as error:  # whoever asks it is told; the others are served
            log.error("gallery %s cannot be served: %s", name, error)


def _close(running: Running) -> None:
    with ExitStack() as closing:  # in the opposite order, and each whatever becomes of the others
        closing.callback(running.home.close)
        closing.callback(running.keys.close)
        closing.callback(running.recorder.close)
        closing.callback(running.engine.close)
        closing.callback(running.jobs.close)
        closing.callback(running.writes.close)
        closing.callback(running.searches.close)
        closing.callback(running.decoder.close)
        closing.callback(running.housekeeping.stop)


def model_folder(model: str | None) -> Path:
    """The folder of a model by its path or its name in the zoo; None is the first of the zoo."""
    if model is None:
        bundles = list_bundles()
        if not bundles:
            raise BundleError(f"no model comes with vantage in {ZOO}: name a folder that holds one")
        return bundles[0]
    path = Path(model)
    if not path.is_dir() and path.name == model and (ZOO / model / CARD_FILE).is_file():
        return ZOO / model
    return path


def _threads(settings: ServiceSettings) -> int:
    return settings.threads or len(os.sched_getaffinity(0))


def _step(service: Service, step: str, done: int = 0, of: int = 0) -> None:
    _still_wanted(service)
    service.progress = Progress(step, done, of)
    log.info("starting: %s%s", step, f" ({done} of {of})" if of else "")


def _still_wanted(service: Service) -> None:
    if service.state == "stopping":
        raise _GivenUpError
