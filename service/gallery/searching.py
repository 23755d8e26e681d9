"""A question to a gallery, and its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt

from service.gallery.errors import BadItemError
from service.gallery.filters import EVERYTHING, Filter
from service.gallery.items import Item, check_id, check_label, in_utc
from service.gallery.settings import RerankMode

GroupBy = Literal["none", "person", "tracklet", "camera"]
Verdict = Literal["same", "different"]
LARGEST_K = 1000
MOST_CROPS = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probe:
    """Who is looked for: an item of the gallery, or one or several crops of one person.

    item         the id of an item; it is not among its own results.
    vectors      float32 (n, D), unit length: crops of one tracklet. They are fused into one, weighted by `weights`
                 (float (n,), their qualities), alike where none are given.
    camera, captured_at  where and when the crops were taken, for `exclude_same_camera_within_s`; an item knows its own.
    name         what this person is called in feedback, for instance the hash of the crop; an item is called by its id.
    """

    item: str | None = None
    vectors: npt.NDArray[np.float32] | None = None
    weights: npt.NDArray[np.floating] | None = None
    camera: str | None = None
    captured_at: datetime | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if (self.item is None) == (self.vectors is None):
            raise BadItemError("a probe is either an item's id or vectors: give exactly one of the two")
        if self.item is not None:
            check_id(self.item)
            if not (self.weights is None and self.camera is None and self.captured_at is None and self.name is None):
                raise BadItemError("a probe that is an item brings its own camera, time and name: give only its id")
        if self.name is not None:
            check_label("a probe's name", self.name)
        if self.camera is not None:
            check_label("a probe's camera", self.camera)
        object.__setattr__(self, "captured_at", in_utc("a probe's captured_at", self.captured_at))
        if self.vectors is not None:
            object.__setattr__(self, "vectors", _checked_vectors(self.vectors))
            if self.weights is not None:
                object.__setattr__(self, "weights", _checked_weights(self.weights, len(self.vectors)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Search:
    """What to look for, among what, and how.

    k              how many hits are wanted, at most 1000.
    filter         which items may be hits; neighbourhoods, for re-ranking, are the whole gallery's all the same.
    exclude_same_camera_within_s  leaves out items of the probe's own camera less than so many seconds away in time, and
                   those of it whose time is not known; needs the probe's camera, and its time unless this is infinite.
    rerank         off, online (by the graph of the whole gallery) or local (among the nearest only); None: as the
                   gallery's settings say.
    exact          search every vector, also where an approximate index is at hand.
    group_by       of one person, tracklet or camera at most `max_per_group` hits; what bears no such label is alone.
    min_score      leaves out hits of a lower score (cosine).
    explain        says for each hit why it stands there.
    """

    probe: Probe
    k: int = 10
    filter: Filter = EVERYTHING
    exclude_same_camera_within_s: float | None = None
    rerank: RerankMode | None = None
    exact: bool = False
    group_by: GroupBy = "none"
    max_per_group: int = 1
    min_score: float | None = None
    explain: bool = False
    include_vectors: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.k <= LARGEST_K:
            raise BadItemError(f"k is {self.k}: ask for 1 to {LARGEST_K} hits")
        if self.rerank not in (None, "off", "online", "local"):
            raise BadItemError(f"rerank is {self.rerank!r}: use off, online or local")
        if self.group_by not in ("none", "person", "tracklet", "camera"):
            raise BadItemError(f"group_by is {self.group_by!r}: use none, person, tracklet or camera")
        if self.max_per_group < 1:
            raise BadItemError(f"max_per_group is {self.max_per_group}: allow at least 1 hit a group")
        if self.min_score is not None and not -1 <= self.min_score <= 1:
            raise BadItemError(f"min_score is {self.min_score}: a score is a cosine, from -1 to 1")
        window, probe = self.exclude_same_camera_within_s, self.probe
        if window is not None:
            if not window >= 0:
                raise BadItemError(f"exclude_same_camera_within_s is {window}: give seconds, 0 or more")
            if probe.item is None and probe.camera is None:
                raise BadItemError("exclude_same_camera_within_s needs the probe's camera: say which camera saw it")
            if probe.item is None and probe.captured_at is None and window != float("inf"):
                raise BadItemError("exclude_same_camera_within_s needs the probe's time: say when it was captured")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a hit stands where it stands: whether it and the probe are among each other's nearest, and which neighbours
    both lean on, as (id, weight), the heaviest first."""

    mutual: bool
    shared: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hit:
    """One result.

    score      cosine similarity, -1 to 1; a similarity and not a probability that it is the same person.
    distance   2 - 2 score, by which plain searches are ordered. reranked: the distance by which this one was, or None.
    confirmed  whether feedback says that it is the probe's person.
    """

    rank: int
    item: Item
    score: float
    distance: float
    reranked: float | None
    confirmed: bool = False
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranking:
    """What was done about re-ranking; where it was not, the reason in a sentence.

    stale  how many items' neighbour lists wait to be made anew.
    """

    applied: bool
    mode: RerankMode
    k1: int
    k2: int
    lam: float
    reason_skipped: str | None = None
    stale: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What a search found.

    change     the gallery's change number that the answer takes account of, at least.
    hits       best first; equal distances are ordered by id.
    exhausted  whether no more items than these meet the request: the gallery was short, not the search.
    allowed    how many items the filter allows, None where there is no filter.
    hidden     how many items feedback kept out of the answer.
    exact      whether the nearest were sought among all vectors.
    seconds    how long each stage took: prepare, search, rerank, fetch.
    """

    gallery: str
    change: int
    hits: tuple[Hit, ...]
    requested: int
    exhausted: bool
    allowed: int | None
    hidden: int
    exact: bool
    reranking: Reranking
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """Somebody's word that an item shows the probe's person, or does not.

    item        the id of the item spoken of.
    probe_item  the item that was looked for; or probe_name, what a probe of crops was called. Exactly one of the two.
    """

    item: str
    verdict: Verdict
    probe_item: str | None = None
    probe_name: str | None = None

    def __post_init__(self) -> None:
        check_id(self.item)
        if self.verdict not in ("same", "different"):
            raise BadItemError(f"a verdict is {self.verdict!r}: use same or different")
        if (self.probe_item is None) == (self.probe_name is None):
            raise BadItemError("feedback names its probe by an item's id or by a name: give exactly one of the two")
        if self.probe_item is not None:
            check_id(self.probe_item)
        if self.probe_name is not None:
            check_label("a probe's name", self.probe_name)
        if self.probe_item == self.item:
            raise BadItemError(f"feedback compares {self.item!r} with itself: name another item")


def _checked_vectors(vectors: object) -> npt.NDArray[np.float32]:
    rows = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    if rows.ndim != 2 or not 1 <= len(rows) <= MOST_CROPS:
        raise BadItemError(f"a probe's vectors have shape {rows.shape}: give 1 to {MOST_CROPS} rows, one a crop")
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    if not (np.abs(lengths - 1) < 1e-3).all():
        raise BadItemError(f"a probe's vector has length {lengths[np.abs(lengths - 1).argmax()]:g}: give unit vectors")
    return _frozen(rows)


def _checked_weights(weights: object, count: int) -> npt.NDArray[np.floating]:
    row = np.asarray(weights, dtype=np.float64)
    if row.shape != (count,) or not np.isfinite(row).all() or (row < 0).any() or row.sum() <= 0:
        raise BadItemError(f"a probe's weights are {row.tolist()}: give {count} numbers, none negative, not all 0")
    return _frozen(row)


def _frozen(array: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    view = array.view()
    view.flags.writeable = False
    return view
