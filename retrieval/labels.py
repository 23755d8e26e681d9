"""Who is on each crop, and which query-gallery pairs therefore count.

The rule is Market-1501's. A gallery item with the junk label takes no part at all. A gallery item of the query's own
person *and* own camera is ignored for that query (finding it again proves nothing). Every other item of the query's
person is a correct match; everything else, distractors included, is wrong.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of one side (queries or gallery), one entry a crop.

    person: (N,) integers or strings; the same kind on both sides.
    camera: (N,) integers or strings; None only where cameras are ignored.
    """

    person: npt.NDArray[Any]
    camera: npt.NDArray[Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "person", _label_array(self.person, "person"))
        if self.camera is not None:
            object.__setattr__(self, "camera", _label_array(self.camera, "camera"))
            if len(self.camera) != len(self.person):
                raise RetrievalError(
                    f"{len(self.person)} person labels but {len(self.camera)} camera labels: give one of each a crop"
                )

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """Which gallery items count for which query, known from the labels alone. Made by `match_labels`.

    kept: (K,) gallery indices that take part, ascending. "Position" below means a place in `kept`.
    matches: (Q,) correct matches of each query; 0 for queries that cannot be scored.
    own_camera: (Q,) items ignored for each query: its own person in its own camera.
    query_junk: (Q,) queries that carry the junk label themselves: they take part in nothing.
    """

    kept: IntArray
    matches: IntArray
    own_camera: IntArray
    query_junk: BoolArray
    gallery_size: int
    gallery_junk: int
    _by_person: IntArray  # positions, grouped by person, ascending within one
    _first: IntArray  # (Q,) where each query's person starts in _by_person
    _query_camera: IntArray
    _kept_camera: IntArray

    @property
    def same_person(self) -> IntArray:
        """(Q,) items of each query's person, ignored ones included."""
        return self.matches + self.own_camera

    @property
    def valid(self) -> IntArray:
        """(Q,) items that each query is compared with; 0 for junk queries."""
        return np.where(self.query_junk, 0, len(self.kept) - self.own_camera)

    def members(self, start: int, stop: int) -> tuple[IntArray, IntArray, BoolArray]:
        """Every item of the same person as queries start..stop-1, query after query, each in gallery order.

        Returns (row, position, ignored), each (M,): row counts from `start`, ignored is True for own-camera items.
        """
        counts = self.same_person[start:stop]
        rows = np.repeat(np.arange(stop - start), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        positions = self._by_person[self._first[start:stop][rows] + within]
        return rows, positions, self._query_camera[start:stop][rows] == self._kept_camera[positions]

    def select(self, block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The kept columns of a (B, G) block: itself where all are kept, else a copy."""
        return block if len(self.kept) == self.gallery_size else block[:, self.kept]

    def require_a_match(self) -> None:
        """Raise, with the reason, when no query has a correct match."""
        if self.matches.any():
            return
        queries = len(self.matches)
        if self.query_junk.all():
            raise RetrievalError(f"all {queries} queries carry the junk label: check how the query labels were read")
        if len(self.kept) == 0:
            raise RetrievalError(
                f"all {self.gallery_size} gallery items carry the junk label or are withheld: nothing is left to find"
            )
        if not self.own_camera.any():
            raise RetrievalError(
                f"no gallery item shares the person of any of the {queries} queries: the labels are disjoint; "
                "check that both sides belong to the same dataset and that their labels are read the same way"
            )
        own = int((self.own_camera > 0).sum())
        others = queries - own
        rest = f" (the other {others} have no gallery item of their person at all)" if others else ""
        raise RetrievalError(
            f"every gallery item of a query's person is from the query's own camera, for {own} of {queries} queries"
            f"{rest}, and such items are ignored: with one camera a person, set ignore_cameras=True"
        )


def match_labels(
    query: Labels,
    gallery: Labels,
    *,
    ignore_cameras: bool = False,
    junk: int | str = -1,
    withheld: BoolArray | None = None,
) -> Matching:
    """Apply the rule above to two sides.

    ignore_cameras: count own-camera items as correct matches (one-camera data).
    junk: the person label that takes no part; compared as text where labels are strings.
    withheld: (G,) gallery items to leave out besides the junk (open-set evaluation).
    """
    if len(query) == 0:
        raise RetrievalError("there are no queries: nothing can be scored")
    if len(gallery) == 0:
        raise RetrievalError("the gallery is empty: nothing can be found in it")
    query_camera, gallery_camera = _camera_codes(query, gallery, ignore_cameras)
    query_person, gallery_person = _shared_codes(query.person, gallery.person, "person")
    query_junk = _is_junk(query.person, junk)
    gallery_junk = _is_junk(gallery.person, junk)

    kept = np.flatnonzero(~gallery_junk if withheld is None else ~(gallery_junk | withheld))
    kept_person, kept_camera = gallery_person[kept], gallery_camera[kept]
    by_person = np.argsort(kept_person, kind="stable")
    grouped = kept_person[by_person]
    first = np.searchsorted(grouped, query_person, "left")
    same_person = np.searchsorted(grouped, query_person, "right") - first

    cameras = int(max(query_camera.max(), gallery_camera.max())) + 1
    seen = np.sort(kept_person * cameras + kept_camera)
    # With cameras ignored the codes of the two sides differ, so nothing is in a query's own camera.
    own = query_person * cameras + query_camera
    own_camera = np.searchsorted(seen, own, "right") - np.searchsorted(seen, own, "left")

    return Matching(
        kept=kept,
        matches=same_person - own_camera,
        own_camera=own_camera,
        query_junk=query_junk,
        gallery_size=len(gallery),
        gallery_junk=int(gallery_junk.sum()),
        _by_person=by_person,
        _first=first,
        _query_camera=query_camera,
        _kept_camera=kept_camera,
    )


def _label_array(labels: npt.ArrayLike, what: str) -> npt.NDArray[Any]:
    array = np.array(labels)
    if array.ndim != 1:
        raise RetrievalError(f"{what} labels have shape {array.shape}: give one label a crop, in one dimension")
    if array.dtype.kind in "OT" and all(isinstance(label, str) for label in array):
        array = array.astype(np.str_)
    if array.dtype.kind in "iu" or len(array) == 0:
        array = array.astype(np.int64)
    elif array.dtype.kind != "U":
        raise RetrievalError(f"{what} labels are of dtype {array.dtype}: give integers or strings")
    array.setflags(write=False)
    return array


def _shared_codes(query: npt.NDArray[Any], gallery: npt.NDArray[Any], what: str) -> tuple[IntArray, IntArray]:
    """Number the labels of both sides together, so that equal labels get equal numbers."""
    if query.dtype.kind != gallery.dtype.kind:
        names = {"i": "integers", "U": "strings"}
        raise RetrievalError(
            f"the {what} labels of the queries are {names[query.dtype.kind]}, those of the gallery "
            f"{names[gallery.dtype.kind]}: they could never be equal; give both in the same form"
        )
    codes = np.unique(np.concatenate([query, gallery]), return_inverse=True)[1].astype(np.int64)
    return codes[: len(query)], codes[len(query) :]


def _camera_codes(query: Labels, gallery: Labels, ignore_cameras: bool) -> tuple[IntArray, IntArray]:
    if ignore_cameras:
        return np.zeros(len(query), np.int64), np.ones(len(gallery), np.int64)
    if query.camera is None or gallery.camera is None:
        side = "queries" if query.camera is None else "gallery"
        raise RetrievalError(f"the {side} have no camera labels: give them, or set ignore_cameras=True")
    return _shared_codes(query.camera, gallery.camera, "camera")


def _is_junk(person: npt.NDArray[Any], junk: int | str) -> BoolArray:
    if person.dtype.kind == "U":
        found: BoolArray = person == str(junk)
        return found
    try:
        return np.asarray(person == int(junk))
    except ValueError:
        raise RetrievalError(f"junk is {junk!r} but the person labels are integers: give an integer") from None
