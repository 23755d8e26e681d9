"""What the service answers, as values. Their names are those of the JSON; docs/api.md shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Verdict = Literal["likely", "unsure", "unlikely"]
RerankMode = Literal["off", "online", "local"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """ready: whether requests are answered; if not, reason says why."""

    ready: bool
    reason: str | None = None

    def __bool__(self) -> bool:
        return self.ready


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningModel:
    name: str
    version: str
    sha256: str
    precision: str
    provider: str
    device: str
    fallback_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """model: None until the service is ready."""

    version: str
    state: str
    model: RunningModel | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    name: str
    sha256: str
    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownItem:
    """What is known of an item. viewpoint: shares of front, side and back. embedding: where it was asked for."""

    id: str
    camera_id: str | None
    captured_at: datetime | None
    tracklet_id: str | None
    person: str | None
    viewpoint: tuple[float, float, float] | None
    quality: float | None
    crop_url: str | None
    metadata: dict[str, Any] | None = None
    embedding: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item(KnownItem):
    added_at: datetime
    expires_at: datetime | None
    crop_sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    id: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """mutual: probe and result are among each other's nearest. shared: neighbours both lean on, heaviest first."""

    mutual: bool
    shared: tuple[Shared, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(KnownItem):
    """score: cosine, no probability. distance_reranked: by which results are ordered, where they were re-ranked."""

    rank: int
    score: float
    verdict: Verdict | None
    distance: float
    distance_reranked: float | None
    confirmed: bool
    explain: Explanation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where `likely` begins and `unlikely` ends, and on which data that was measured."""

    dataset: str
    likely_from: float
    likely_false_accept_rate: float
    unlikely_below: float
    unlikely_false_accept_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranking:
    applied: bool
    mode: RerankMode
    k1: int
    k2: int
    lam: float
    reason_skipped: str | None
    stale_neighbours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What was searched for. sha256 names it in feedback."""

    item_id: str | None
    crops: int
    sha256: str | None
    width: int | None
    height: int | None
    viewpoint: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAnswer:
    """results: best first. exhausted: no more items than these meet the request. hidden: how many feedback kept out."""

    request_id: str
    gallery: str
    index_version: int
    model: ServedModel
    results: tuple[Result, ...]
    returned: int
    requested: int
    exhausted: bool
    exact: bool
    filtered_candidates: int | None
    hidden: int
    calibration: Thresholds | None
    no_verdict_because: str | None
    rerank: Reranking
    query: Query
    timings_ms: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """embedding: of unit length. sha256: of the picture's file."""

    request_id: str
    model: ServedModel
    embedding: tuple[float, ...]
    viewpoint: tuple[float, float, float] | None
    sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """outcome: added, replaced or unchanged."""

    id: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteReceipt:
    """ids: what was deleted, or would be. pending: where something of them may be left on disk until `compact`."""

    gallery: str
    ids: tuple[str, ...]
    missing: tuple[str, ...]
    dry_run: bool
    at: datetime
    removed: dict[str, int]
    pending: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """index_version: the number of its last change. pending_purge: deleted, and not yet gone from the disk.
    calibration, no_verdict_because: known where a single gallery was asked for."""

    name: str
    count: int
    dimension: int
    metric: str
    model_name: str
    model_sha256: str
    settings: dict[str, Any]
    created_at: datetime
    index_version: int
    index: dict[str, Any]
    saved_at: datetime | None
    unsaved: int
    pending_purge: int
    disk_bytes: int
    calibration: Thresholds | None = None
    no_verdict_because: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """verdict: whether the item shows the probe's person. The probe is an item, or a crop by its hash."""

    item_id: str
    verdict: Literal["same", "different"]
    probe_item_id: str | None
    probe_sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    name: str
    gallery: str
    at: datetime
    index_version: int
    count: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """result: what came of it. problem: why nothing did."""

    id: str
    kind: str
    gallery: str | None
    state: Literal["waiting", "running", "done", "failed"]
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    progress: float | None
    result: dict[str, Any] | None
    problem: dict[str, Any] | None

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed")
