"""A search that keeps its deadline: it would rather not re-rank than be late."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from service.embedding import DeadlineExceededError
from service.gallery import Answer, GalleryEngine, RerankMode, Search

DEADLINE = "deadline"
"""Why re-ranking was left out."""
_FADES = 0.9


class InTime:
    """Searches of an engine, with how long re-ranked ones took lately in each gallery. Any thread may call."""

    def __init__(self, engine: GalleryEngine) -> None:
        self._engine = engine
        self._took: dict[str, float] = {}
        self._lock = threading.Lock()

    def search(self, gallery: str, search: Search, usual: RerankMode, deadline: float) -> Answer:
        """usual: the mode of the gallery. deadline: by `time.monotonic`; after it, DeadlineExceededError."""
        if (search.rerank or usual) == "off":
            found = self._engine.search(gallery, search)
        elif self._too_long(gallery, deadline - time.monotonic()):
            plain = self._engine.search(gallery, replace(search, rerank="off"))
            found = replace(plain, reranking=replace(plain.reranking, reason_skipped=DEADLINE))
        else:
            began = time.monotonic()
            found = self._engine.search(gallery, search)
            self._note(gallery, time.monotonic() - began)
        if time.monotonic() > deadline:
            raise DeadlineExceededError("the deadline passed while it was searched: allow more time")
        return found

    def forget(self, gallery: str) -> None:
        with self._lock:
            self._took.pop(gallery, None)

    def _too_long(self, gallery: str, left: float) -> bool:
        """Whether less time is left than a re-ranked search lately took. Each time this is so it counts for less, so
        that re-ranking is tried again one day."""
        with self._lock:
            took = self._took.get(gallery, 0.0)
            if took <= left:
                return False
            self._took[gallery] = _FADES * took
            return True

    def _note(self, gallery: str, seconds: float) -> None:
        with self._lock:
            self._took[gallery] = max(seconds, _FADES * self._took.get(gallery, 0.0))
