"""From settings to a service that answers, on a thread beside the event loop, and the way back."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from contextlib import ExitStack
from pathlib import Path

from models import CARD_FILE, ZOO, BundleError, ModelError, list_bundles
from retrieval import RetrievalError
from retrieval.approximate import KINDS
from service.access import AUDIT_FOLDER, KEYS_FILE, AccessError, AuditLog, KeyStore, RateLimiter, may_bind
from service.api.auditing import Recorder
from service.api.housekeeping import housekeeping
from service.api.in_time import InTime
from service.api.jobs import Jobs
from service.api.places import Places
from service.api.service import Progress, Running, Service
from service.api.workers import Workers
from service.demo import load_demo
from service.embedding import Decoder, EmbeddingQueue, ModelHolder, ServingError
from service.gallery import CorruptError, GalleryError
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


class _GivenUpError(Exception):
    """The service is to stop before it has started."""


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
    _step(service, "opening the data directory")
    settings.data.mkdir(parents=True, exist_ok=True)
    keys = KeyStore(settings.data / KEYS_FILE)
    opened.callback(keys.close)
    if (refusal := may_bind(settings.host, keys.has_keys, settings.trust_network)) is not None:
        raise AccessError(refusal)
    if settings.trust_network and not keys.has_keys:
        log.warning(
            "there are no keys, and trust_network is set: whoever reaches port %d may search, add and delete. Let "
            "nobody but this machine reach it, or make a key with vantage key create",
            settings.port,
        )
    engine = EmbeddedEngine.open(settings.data, sizes=Sizes.for_device(settings.device))
    opened.callback(engine.close)
    audit = AuditLog(settings.data / AUDIT_FOLDER, keep_days=settings.audit_days) if settings.audit else None
    recorder = Recorder(audit)
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
    names = engine.galleries()
    for done, name in enumerate(names):
        _step(service, "loading galleries", done, len(names))
        try:
            engine.load(name)
        except CorruptError as error:  # whoever asks it is told; the others are served
            log.error("gallery %s cannot be served: %s", name, error)
    limits = ImageLimits(bytes=settings.max_image_bytes, pixels=settings.max_image_pixels)
    return Running(
        keys=keys,
        limiter=RateLimiter(),
        recorder=recorder,
        engine=engine,
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
        jobs=Jobs(recorder.check),
        housekeeping=housekeeping(recorder),
        in_time=InTime(engine),
        places=Places(settings.max_waiting + settings.max_batch, lambda: service.metrics.rejected("full")),
    )


def _close(running: Running) -> None:
    with ExitStack() as closing:  # in the opposite order, and each whatever becomes of the others
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
