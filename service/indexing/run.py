"""The way from pictures to a gallery: look up, decode, embed, commit; all four at once, each a bounded way ahead."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from itertools import chain

from service.decoding import CHUNK, Decoded, Task, Undecoded, decode, open_decoders
from service.gallery import AddResult, GalleryEngine, NewItem, require_model
from service.indexing.ahead import ahead, in_lots
from service.indexing.chosen import chosen
from service.indexing.embedding import Embedder, cores
from service.indexing.errors import IndexingError
from service.indexing.known import Known
from service.indexing.ledger import Ledger
from service.indexing.progress import Tally
from service.indexing.records import Failure, Record, Source, undecoded
from service.indexing.shard import Shard

_MOST_DECODERS = 16


class IndexingRun:
    """One pass over a source.

    decoders: processes that decode, 0 for a thread of this one, None for one a core. commit_every: items that are
    committed at once. stop: asked often; once it says yes, nothing new is begun and what is embedded is committed.
    failed: told of every picture that could not be indexed.
    """

    def __init__(
        self,
        engine: GalleryEngine,
        gallery: str,
        source: Source,
        embedder: Embedder,
        *,
        shard: Shard | None = None,
        decoders: int | None = None,
        commit_every: int = 256,
        stop: Callable[[], bool] = lambda: False,
        failed: Callable[[Failure], None] = lambda failure: None,
    ) -> None:
        session, settings = embedder.session, engine.info(gallery).settings
        require_model(gallery, settings, session.card.name, session.sha256)
        self._engine, self._gallery, self._source, self._embedder = engine, gallery, source, embedder
        self._shard = shard or Shard()
        self._decoders = min(cores(), _MOST_DECODERS) if decoders is None else decoders
        self._commit_every = commit_every
        self._keep = settings.store_crops
        self._known = Known.of(engine, gallery, tells_viewpoint=embedder.tells_viewpoint)
        self._stop = stop
        self._progressed: Callable[[Tally], None] = lambda tally: None
        self._ledger = Ledger(failed)
        self.tally = self._ledger.tally

    def __call__(self, progressed: Callable[[Tally], None] | None = None) -> Tally:
        """Index everything; returns when the last item is committed. progressed: called when the tally has grown."""
        self._progressed = progressed or self._progressed
        with ExitStack() as pools:
            decoders = open_decoders(self._decoders)
            embedders = ThreadPoolExecutor(self._embedder.at_once, "embedder")
            committer = ThreadPoolExecutor(1, "committer")
            for pool in (decoders, embedders, committer):
                pools.callback(pool.shutdown, cancel_futures=True)
            spec = self._embedder.session.card.input

            def start_decoding(chunk: list[tuple[Record, str | None]]) -> Future[list[Decoded | Undecoded]]:
                tasks = [Task(record.content, known) for record, known in chunk]
                return decoders.submit(decode, spec, tasks, self._keep)

            def start_commit(items: list[NewItem]) -> Future[tuple[AddResult, ...]]:
                return committer.submit(self._engine.add, self._gallery, items)

            chunks = ahead(in_lots(self._wanted(), CHUNK), start_decoding, 2 * max(1, self._decoders) + 2)
            lots = in_lots(self._decoded(chunks), self._embedder.batch)
            embedded = ahead(lots, lambda lot: embedders.submit(self._embedder.embed, lot), self._embedder.at_once + 1)
            items = chain.from_iterable(done for _, done in embedded)
            try:
                for _, results in ahead(in_lots(items, self._commit_every), start_commit, 1):
                    self._ledger.committed(results)
                    self._progressed(self.tally)
            except BrokenProcessPool as error:
                raise IndexingError(
                    "a process that decodes pictures was killed, perhaps for want of memory: what was committed stays; "
                    "run the same command again, with fewer --decoders"
                ) from error
        return self.tally

    def _wanted(self) -> Iterator[tuple[Record, str | None]]:
        """Records of this shard, each id once, with the hash that the gallery knows them by."""
        for record in chosen(self._source, self._shard, self._stop, self._ledger.fail):
            yield record, self._known.hash_of(record.facts)

    def _decoded(
        self, chunks: Iterator[tuple[list[tuple[Record, str | None]], list[Decoded | Undecoded]]]
    ) -> Iterator[tuple[Record, Decoded]]:
        for chunk, outcomes in chunks:
            if self._stop():
                return
            for (record, _), outcome in zip(chunk, outcomes, strict=True):
                if isinstance(outcome, Undecoded):
                    self._ledger.fail(undecoded(record, outcome))
                elif outcome.crop is None:
                    self._ledger.unchanged(1)
                else:
                    yield record, outcome
            self._progressed(self.tally)
