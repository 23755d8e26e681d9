"""What the service does by itself, now and then, whether anybody asks or not."""

from __future__ import annotations

from service.api.auditing import Recorder
from service.gallery.embedded.upkeep import Chore, Upkeep
from service.heap import give_back

_MEMORY_SECONDS = 10.0
_RETENTION_SECONDS = 3600.0


def housekeeping(recorder: Recorder) -> Upkeep:
    """To be started; it stops when it is told to."""

    def memory() -> bool:
        give_back()
        return False

    def retention() -> bool:
        recorder.retain()
        return False

    return Upkeep(
        "the service",
        [
            Chore("giving back memory", _MEMORY_SECONDS, memory),
            Chore("removing old files of the audit log", _RETENTION_SECONDS, retention),
        ],
    )
