"""One pass over a source by the machines of a cluster, as operators of Ray Data: decode, embed, commit."""

import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import ray
import ray.data
from ray.data import ActorPoolStrategy, TaskPoolStrategy
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError

from models import Bundle, Device
from service.gallery import AddResult, GalleryEngine, NewItem, require_model
from service.indexing.ahead import ahead, in_lots
from service.indexing.chosen import chosen
from service.indexing.errors import IndexingError
from service.indexing.known import Known
from service.indexing.ledger import Ledger
from service.indexing.on_ray.feed import Feed
from service.indexing.on_ray.lots import Lot, Wanted, lot_of
from service.indexing.on_ray.stages import CommitLot, EmbedLot, EngineOpener, decode_lot
from service.indexing.on_ray.workers import Workers
from service.indexing.progress import Tally
from service.indexing.records import Failure, Record, Source
from service.indexing.shard import Shard

_LOOK_UPS = 32
_MOST_COMMITTERS = 16


class RayRun:
    """Within `open_cluster`. Arguments and results as `IndexingRun`.

    The driver reads the source and asks the gallery what it holds; files are read by the workers, so their paths must
    lead to them on every machine. Without `opener` the driver commits too, in the order of the source: an embedded
    engine has one process. With it, actors open the engine and commit.
    """

    def __init__(
        self,
        engine: GalleryEngine,
        gallery: str,
        source: Source,
        bundle: Bundle,
        workers: Workers,
        *,
        opener: EngineOpener | None = None,
        shard: Shard | None = None,
        device: Device = "auto",
        threads: int = 1,
        batch: int = 64,
        commit_every: int = 256,
        stop: Callable[[], bool] = lambda: False,
        failed: Callable[[Failure], None] = lambda failure: None,
    ) -> None:
        settings = engine.info(gallery).settings
        require_model(gallery, settings, bundle.card.name, bundle.sha256)
        self._engine, self._gallery, self._source, self._bundle = engine, gallery, source, bundle
        self._workers, self._opener = workers, opener
        self._shard = shard or Shard()
        self._device, self._threads, self._batch, self._commit_every = device, threads, batch, commit_every
        self._keep = settings.store_crops
        self._known = Known.of(engine, gallery, tells_viewpoint=bundle.card.outputs.viewpoint is not None)
        self._stop = stop
        self._progressed: Callable[[Tally], None] = lambda tally: None
        self._ledger = Ledger(failed)
        self.tally = self._ledger.tally

    def __call__(self, progressed: Callable[[Tally], None] | None = None) -> Tally:
        self._progressed = progressed or self._progressed
        lots = (Lot(wanted=tuple(lot)) for lot in in_lots(self._wanted(), self._batch))
        with Feed(lots, self._workers.lots) as feed, ThreadPoolExecutor(1, "committer") as committer:

            def start_commit(items: list[NewItem]) -> Future[tuple[AddResult, ...]]:
                return committer.submit(self._engine.add, self._gallery, items)

            with closing(self._out(feed)) as out:
                items = chain.from_iterable(lot.items for lot in out)
                for _, results in ahead(in_lots(items, self._commit_every), start_commit, 1):
                    self._ledger.committed(results)
                    self._progressed(self.tally)
        return self.tally

    def _wanted(self) -> Iterator[Wanted]:
        """As the local run's, with paths that lead to the files from anywhere."""
        records = map(_anywhere, chosen(self._source, self._shard, self._stop, self._ledger.fail))
        if self._opener is None:
            for record in records:
                yield record, self._known.hash_of(record.facts)
        else:  # the engine is away, and each question takes its time
            with ThreadPoolExecutor(_LOOK_UPS, "look-up") as pool:
                yield from ahead(records, lambda of: pool.submit(self._known.hash_of, of.facts), 2 * _LOOK_UPS)

    def _out(self, feed: Feed) -> Generator[Lot]:
        """What has come of the lots, in order, written into the ledger but for what the driver is to commit."""
        try:
            with warnings.catch_warnings():
                # Ray's: of a default that it is about to change, and of sources with fewer lots than decoders.
                warnings.filterwarnings("ignore", "`use_push_based_shuffle` is deprecated", DeprecationWarning)
                warnings.filterwarnings("ignore", "The maximum number of concurrent tasks", UserWarning)
                for row in self._dataset(feed).iter_rows():
                    feed.out()
                    lot = lot_of(row)
                    if lot.error is not None:
                        raise lot.error
                    for failure in lot.failures:
                        self._ledger.fail(failure)
                    self._ledger.unchanged(lot.unchanged)
                    self._ledger.committed(lot.results)
                    self._progressed(self.tally)
                    yield lot
        except (RayError, ExecutionTimeoutError) as error:
            cause = getattr(error, "cause", None) or error
            said = str(cause).strip().partition("\n")[0]
            raise IndexingError(
                f"the cluster failed with {type(cause).__name__}: {said}; what was committed stays: mend that and run "
                "the same command again"
            ) from error

    def _dataset(self, feed: Feed) -> Any:
        workers, spec = self._workers, self._bundle.card.input
        with ray.data.DataContext.current(_context()):
            lots = ray.data.read_datasource(feed, num_cpus=0, override_num_blocks=1)
            decoded = lots.map(
                decode_lot,
                fn_kwargs={"spec": spec, "keep": self._keep},
                num_cpus=workers.decoder_cores,
                compute=TaskPoolStrategy(size=workers.decoders),
            )
            embedded = decoded.map(
                EmbedLot,
                fn_constructor_args=(ray.put(self._bundle), self._device, self._threads, self._batch),
                num_cpus=workers.session_cores,
                num_gpus=workers.session_gpus,
                compute=ActorPoolStrategy(
                    min_size=1,
                    max_size=workers.sessions,
                    initial_size=workers.at_first,
                    max_tasks_in_flight_per_actor=2,
                ),
            )
            if self._opener is None:
                return embedded
            return embedded.map(
                CommitLot,
                fn_constructor_args=(self._opener, self._gallery),
                num_cpus=0,
                compute=ActorPoolStrategy(min_size=1, max_size=min(workers.sessions, _MOST_COMMITTERS)),
            )


def _context() -> Any:
    """Ray Data's settings for one dataset: lots in order, each a block, and nothing printed."""
    context = ray.data.DataContext.get_current().copy()
    context.target_max_block_size = 1
    context.execution_options.preserve_order = True
    context.raise_original_map_exception = True
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return context


def _anywhere(record: Record) -> Record:
    return replace(record, content=record.content.absolute()) if isinstance(record.content, Path) else record
