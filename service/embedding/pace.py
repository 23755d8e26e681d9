"""How many crops to run at once, and whether to wait for more: decided by what was measured while serving.

On a processor a batch of eight takes nearly eight times as long as one crop, so batches save little and make everybody
wait for the slowest. On a GPU it takes hardly longer. Nobody has to know which it is: the times of the runs say it.
"""

from collections import deque
from statistics import median

# A larger batch must save this share of the time per crop: less is within the noise, and its crops all wait longer.
_WORTH = 0.05
_ENOUGH = 3
_REMEMBERED = 9
# After so many other runs, times were those of another hour, perhaps of a busy one: they are measured anew.
_STALE = 2000


class RunTimes:
    """How long a session's runs take by batch size.

    sizes: the batch sizes that are run, ascending. padded: whether a batch in between runs as the next larger one;
    otherwise only these are taken.
    """

    def __init__(self, sizes: tuple[int, ...], padded: bool) -> None:
        self.sizes = sizes
        self._padded = padded
        self._seen: dict[int, deque[float]] = {size: deque(maxlen=_REMEMBERED) for size in sizes}
        self._quickest: dict[int, float] = {}
        self._last: dict[int, int] = {}
        self._runs = 0

    def ran(self, crops: int, seconds: float) -> None:
        """A run of so many crops took so long."""
        self._runs += 1
        size = self._size(crops)
        if size is None:
            return
        if self._runs - self._last.get(size, self._runs) > _STALE:
            self._seen[size].clear()
            self._quickest.pop(size, None)
        self._last[size] = self._runs
        self._seen[size].append(seconds)
        if len(self._seen[size]) >= _ENOUGH:
            # The quickest: what else runs on the machine makes some runs longer, and none shorter.
            self._quickest[size] = min(self._seen[size])

    def seconds(self, crops: int) -> float | None:
        """How long a run of so many crops takes when nothing is in its way; None if that is not known yet."""
        size = self._size(crops)
        return None if size is None else self._quickest.get(size)

    def lately(self, crops: int) -> float | None:
        """How long such runs mostly took of late, with all that was in their way; None if that is not known yet."""
        size = self._size(crops)
        if size is None or size not in self._quickest:
            return None
        return median(list(self._seen[size])[-_ENOUGH:])

    def take(self, waiting: int) -> int:
        """How many of the crops that wait are best run now.

        Sizes are gone through from the smallest on, for as long as each saves time per crop. One that was not tried
        yet, or not for long, is tried.
        """
        best, least = 0, float("inf")
        for crops in self._choices(waiting):
            seconds = self.seconds(crops)
            if seconds is None or self._is_stale(crops):
                return crops
            if seconds / crops > least * (1 - _WORTH):
                break
            best, least = crops, seconds / crops
        return best

    def worth_waiting(self, waiting: int, gap: float) -> tuple[int, float] | None:
        """Until how many crops to wait, and for how many seconds at most; None if it is best to run at once.

        gap: seconds between crops that arrive. Compared is the sum over the crops of the time until each is done: run
        the n that are here now, and those that come meanwhile after that; or run all of them together.
        """
        now = self.seconds(waiting)
        best: tuple[int, float] | None = None
        most_saved = 0.0
        if now is None:
            return None
        for crops in self.sizes:
            more = crops - waiting
            later, together = self.seconds(more) if more > 0 else None, self.seconds(crops)
            if later is None or together is None:
                continue
            saved = waiting * now + more * (now + later) - crops * (more * gap + together)
            if saved > most_saved:
                most_saved, best = saved, (crops, more * gap)
        return best

    def per_crop(self) -> float | None:
        """Seconds a crop lately took, at the size that was run last; None if nothing was run."""
        size = max(self._last, key=lambda size: self._last[size], default=None)
        return None if size is None else median(self._seen[size]) / size

    def _choices(self, waiting: int) -> list[int]:
        choices = [size for size in self.sizes if size <= waiting]
        most = min(waiting, self.sizes[-1])
        return [*choices, most] if self._padded and most not in choices else choices

    def _size(self, crops: int) -> int | None:
        if self._padded:
            return next((size for size in self.sizes if size >= crops), None)
        return crops if crops in self._seen else None

    def _is_stale(self, crops: int) -> bool:
        size = self._size(crops)
        return size is not None and self._runs - self._last[size] > _STALE


class Arrivals:
    """How far apart crops arrive, in seconds; infinite until two requests have come."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._gap = float("inf")

    def came(self, crops: int, at: float) -> None:
        if self._last is not None:
            gap = (at - self._last) / crops
            self._gap = gap if self._gap == float("inf") else self._gap + 0.1 * (gap - self._gap)
        self._last = at

    def gap(self, at: float) -> float:
        """Not less than the silence since the last one."""
        return self._gap if self._last is None else max(self._gap, at - self._last)
