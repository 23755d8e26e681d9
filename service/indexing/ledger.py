"""The account of a run: what became of each picture."""

import threading
from collections.abc import Callable, Iterable

from service.gallery import AddResult
from service.indexing.progress import Tally
from service.indexing.records import Failure


class Ledger:
    """Any thread may write into it. failed: told of every failure, one after the other."""

    def __init__(self, failed: Callable[[Failure], None]) -> None:
        self.tally = Tally()
        self._failed = failed
        self._lock = threading.Lock()

    def fail(self, failure: Failure) -> None:
        with self._lock:
            self.tally.failed += 1
            self._failed(failure)

    def unchanged(self, pictures: int) -> None:
        with self._lock:
            self.tally.unchanged += pictures

    def committed(self, results: Iterable[AddResult]) -> None:
        with self._lock:
            for result in results:
                assert result.outcome != "refused", "adding replaces"
                setattr(self.tally, result.outcome, getattr(self.tally, result.outcome) + 1)
