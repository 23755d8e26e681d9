"""From a filter to the keys that it allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from service.gallery.embedded.columns import NO_TIME, UNKNOWN, Keys, View
from service.gallery.embedded.moment import places_of
from service.gallery.embedded.rows import microseconds
from service.gallery.filters import Filter, Scalar
from service.gallery.items import VIEWPOINTS

Mask = npt.NDArray[np.bool_]
MetadataKeys = Callable[[str, Scalar], Keys]


def allowed(view: View, filter: Filter, now: int, metadata_keys: MetadataKeys, *, strict: bool) -> Mask | None:
    """Which places of the columns a filter allows, of those that are there at the time `now`; None for all of them.

    metadata_keys  gives the keys, ascending, of the items whose metadata has a field of that value.
    strict         whether to raise OutdatedError where it names what the columns do not hold yet.
    """
    mask: Mask | None = None if now < view.next_expiry else view.expires_at > now
    if not filter.empty:
        mask = np.ones(len(view.keys), np.bool_) if mask is None else mask
        for name, wanted in (("camera", filter.cameras), ("person", filter.persons), ("tracklet", filter.tracklets)):
            if wanted is not None:
                mask &= _any_of(view, name, wanted)
        if filter.not_cameras:
            mask &= ~_any_of(view, "camera", filter.not_cameras)
        if filter.time_from is not None:
            mask &= view.captured_at >= microseconds(filter.time_from)
        if filter.time_to is not None:
            mask &= (view.captured_at < microseconds(filter.time_to)) & (view.captured_at != NO_TIME)
        if filter.viewpoints is not None:
            mask &= np.isin(view.viewpoint, [VIEWPOINTS.index(name) for name in filter.viewpoints])
        for field, value in filter.metadata.items():
            having = np.zeros(len(view.keys), np.bool_)
            having[places_of(view, metadata_keys(field, value), strict=strict)] = True
            mask &= having
    return None if mask is None else mask & view.alive


def same_camera_nearby(view: View, camera: str, at: int | None, within_s: float) -> Mask:
    """Which places hold items of a camera that are `within_s` seconds of a moment, or may be: their time is unknown."""
    own = _any_of(view, "camera", (camera,))
    if at is None or within_s == float("inf"):
        return own
    # Times are whole microseconds, far from the ends of int64 except for the mark of none.
    near = np.abs(view.captured_at.astype(np.float64) - at) <= within_s * 1e6
    return np.asarray(own & (near | (view.captured_at == NO_TIME)))


def _any_of(view: View, column: str, labels: Sequence[str]) -> Mask:
    codes = view.codes[column]
    known = [codes[label] for label in labels if label in codes]
    values: npt.NDArray[np.int32] = getattr(view, column)
    if len(known) == 1:  # by far the most common, and several times faster than isin
        return np.asarray(values == known[0])
    assert UNKNOWN not in known
    return np.isin(values, known)
