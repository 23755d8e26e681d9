"""The database tells what is now, memory what was a moment ago: what is read of both must be of one moment.

A commit is in the database a little before it is taken up in memory. Whoever looks up a key there and then asks memory
for it, or the other way round, would miss an item that was replaced between, although it was there all the time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from service.gallery.embedded.columns import View


class OutdatedError(Exception):
    """Something was written meanwhile: asked again, once that is taken up, both tell the same."""


def places_of(view: View, keys: npt.ArrayLike, *, strict: bool) -> npt.NDArray[np.intp]:
    """Where keys that the database just told stand in memory; `strict` raises OutdatedError if one does not yet."""
    wanted = np.asarray(keys, np.int64)
    places = view.places(wanted)
    if strict and len(places) < len(wanted):
        raise OutdatedError
    return places
