"""Items as they were a moment ago, for searches that began before they were replaced.

A search finds keys in memory and then reads their items. One that is replaced between the two has another key by then,
and would be missing from an answer although it was there all the time; so what it was is remembered for a while.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence

from service.gallery.embedded.truth import Truth
from service.gallery.items import Item

REMEMBERED = 1024  # more than are replaced while a search takes place


class Superseded:
    """By key, the last few that were replaced. Any thread may call any method."""

    def __init__(self) -> None:
        self._items: OrderedDict[int, Item] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, items: Mapping[int, Item]) -> None:
        """To be called before the commit that replaces them."""
        with self._lock:
            self._items.update(items)
            while len(self._items) > REMEMBERED:
                self._items.popitem(last=False)

    def forget(self, ids: Collection[str]) -> None:
        """Of what is deleted nothing is remembered."""
        with self._lock:
            for key in [key for key, item in self._items.items() if item.id in ids]:
                del self._items[key]

    def among(self, keys: Iterable[int]) -> dict[int, Item]:
        with self._lock:
            return {key: self._items[key] for key in keys if key in self._items}


def items_of(truth: Truth, superseded: Superseded, keys: Sequence[int], vectors: bool) -> dict[int, Item]:
    """Items as they are, or as they were when replaced a moment ago (then without their vectors)."""
    items = truth.items(keys, vectors=vectors)
    if len(items) < len(keys):
        items |= superseded.among(key for key in keys if key not in items)
    return items
