"""What the queue tells whoever counts."""

from typing import Literal, Protocol

Rejection = Literal["full", "deadline", "disconnected", "shutting_down"]
Release = Literal["ready", "full", "timeout"]
"""Why a batch was run: nothing was to be gained by waiting, what was waited for had come, or it had not in time."""


class Observer(Protocol):
    """Called from the event loop and from the queue's threads, some of it while they hold a lock: it must be quick."""

    def depth(self, crops: int) -> None:
        """So many crops wait now."""

    def rejected(self, reason: Rejection) -> None:
        """A request was not embedded."""

    def ran(self, crops: int, release: Release, seconds: float) -> None:
        """A batch was run."""

    def waited(self, seconds: float) -> None:
        """A request waited so long for its batch."""

    def failed(self, error: Exception) -> None:
        """A run failed. Its requests are then run one by one, and those that fail again get the error."""


class NoObserver:
    """Counts nothing."""

    def depth(self, crops: int) -> None: ...

    def rejected(self, reason: Rejection) -> None: ...

    def ran(self, crops: int, release: Release, seconds: float) -> None: ...

    def waited(self, seconds: float) -> None: ...

    def failed(self, error: Exception) -> None: ...
