"""What is counted, for Prometheus. No label ever names a person, an item or a key."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from service.embedding import Rejection, Release
from service.gallery import GalleryInfo

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)
_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
Galleries = Callable[[], Iterable[GalleryInfo]]


class Metrics:
    """The service's own registry. It is the embedding queue's observer, too."""

    def __init__(self, galleries: Galleries) -> None:
        """galleries: asked for at each scrape."""
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "vantage_http_requests_total",
            "Requests that were answered.",
            ["route", "method", "code"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "vantage_http_request_duration_seconds",
            "From a request's head to its answer's end.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._stage_seconds = Histogram(
            "vantage_stage_duration_seconds",
            "The stages of a search.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._depth = Gauge("vantage_queue_depth", "Crops that wait for the model.", registry=registry)
        self._rejected = Counter(
            "vantage_queue_rejected_total", "Requests that were not embedded.", ["reason"], registry=registry
        )
        self._batch = Histogram("vantage_batch_size", "Crops in a run.", buckets=_BATCHES, registry=registry)
        self._bucket = Counter("vantage_batch_bucket_total", "Runs by size.", ["bucket"], registry=registry)
        self._release = Counter("vantage_batch_release_total", "Why runs began.", ["reason"], registry=registry)
        self._failed = Counter("vantage_batch_failures_total", "Runs of the model that failed.", registry=registry)
        self._provider = Gauge(
            "vantage_execution_provider_info", "What runs the model.", ["provider", "requested"], registry=registry
        )
        self._model = Gauge("vantage_model_info", "The model that serves.", ["sha256"], registry=registry)
        self._reloads = Counter("vantage_index_reload_total", "Reloads of the model.", ["result"], registry=registry)
        self._skipped = Counter(
            "vantage_rerank_skipped_total", "Searches not re-ranked as asked.", ["reason"], registry=registry
        )
        self._underfilled = Counter(
            "vantage_search_underfilled_total", "Searches with fewer results than asked for.", registry=registry
        )
        self._auth = Counter("vantage_auth_failures_total", "Requests without leave.", ["reason"], registry=registry)
        self._images = Counter("vantage_images_rejected_total", "Pictures not taken.", ["reason"], registry=registry)
        self._ready = Gauge("vantage_ready", "1 while the service is ready.", registry=registry)
        registry.register(_Galleries(galleries))

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def requested(self, route: str, method: str, status: int, seconds: float) -> None:
        known = method if method in _METHODS else "other"  # a client may call its method what it likes
        self._requests.labels(route, known, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def stage(self, stage: str, seconds: float) -> None:
        self._stage_seconds.labels(stage).observe(seconds)

    def ready(self, ready: bool) -> None:
        self._ready.set(int(ready))

    def serves(self, sha256: str, provider: str, requested: str) -> None:
        """Which model serves, and on what."""
        for gauge, labels in ((self._model, (sha256,)), (self._provider, (provider, requested))):
            gauge.clear()
            gauge.labels(*labels).set(1)

    def reloaded(self, result: str) -> None:
        self._reloads.labels(result).inc()

    def searched(self, skipped: str | None, underfilled: bool) -> None:
        """skipped: why re-ranking was not done as wanted."""
        if skipped is not None:
            self._skipped.labels(skipped).inc()
        if underfilled:
            self._underfilled.inc()

    def refused(self, reason: str) -> None:
        self._auth.labels(reason).inc()

    def image_rejected(self, reason: str) -> None:
        self._images.labels(reason).inc()

    # What the embedding queue tells: `service.embedding.Observer`.

    def depth(self, crops: int) -> None:
        self._depth.set(crops)

    def rejected(self, reason: Rejection) -> None:
        self._rejected.labels(reason).inc()

    def ran(self, crops: int, release: Release, seconds: float) -> None:
        self._batch.observe(crops)
        self._bucket.labels(str(1 << (crops - 1).bit_length())).inc()
        self._release.labels(release).inc()
        self.stage("embed", seconds)

    def waited(self, seconds: float) -> None:
        self.stage("queue", seconds)

    def failed(self, error: Exception) -> None:
        self._failed.inc()


class _Galleries:
    """What the galleries say of themselves when they are asked."""

    def __init__(self, galleries: Galleries) -> None:
        self._galleries = galleries

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        wanted: dict[str, tuple[str, Callable[[GalleryInfo], float]]] = {
            "vantage_index_items": ("Items of a gallery.", lambda info: info.count),
            "vantage_index_version_info": ("The change number of a gallery.", lambda info: info.change),
            "vantage_index_unpersisted_items": (
                "Changes that would be replayed at a start.",
                lambda info: info.unsaved,
            ),
            "vantage_index_last_persist_timestamp_seconds": (
                "When derived files were last written.",
                lambda info: 0.0 if info.saved_at is None else info.saved_at.timestamp(),
            ),
            "vantage_index_memory_bytes": ("Memory of vectors, index and graph.", lambda info: info.index.memory_bytes),
            "vantage_index_disk_bytes": ("Bytes on disk.", lambda info: info.disk_bytes),
            "vantage_index_tombstones": (
                "Deleted items that still take room in memory until their places are closed.",
                lambda info: info.index.tombstones,
            ),
            "vantage_deletes_pending_purge": (
                "Deleted items of which the disk may hold something until `compact`.",
                lambda info: info.pending_purge,
            ),
            "vantage_neighbour_cache_stale_ratio": (
                "The share of neighbour lists that wait to be made anew.",
                lambda info: info.index.stale / max(1, info.count),
            ),
        }
        families = {name: GaugeMetricFamily(name, text, labels=["gallery"]) for name, (text, _) in wanted.items()}
        for info in self._galleries():
            for name, (_, value) in wanted.items():
                families[name].add_metric([info.name], value(info))
        yield from families.values()
