"""What the service does by itself, now and then, whether anybody asks or not."""

from __future__ import annotations

from contextlib import suppress

from service.access import DatabaseAwayError
from service.api.auditing import Recorder
from service.api.jobs import TELL_SECONDS, Jobs
from service.gallery.embedded.upkeep import Chore, Upkeep
from service.heap import give_back

_MEMORY_SECONDS = 10.0
_RETENTION_SECONDS = 3600.0


def housekeeping(recorder: Recorder, jobs: Jobs) -> Upkeep:
    """To be started; it stops when it is told to."""

    def memory() -> bool:
        give_back()
        return False

    def retention() -> bool:
        recorder.retain()
        return False

    def telling() -> bool:
        with suppress(DatabaseAwayError):  # which everybody else is told of
            jobs.tell()
        return False

    chores = [
        Chore("giving back memory", _MEMORY_SECONDS, memory),
        Chore("removing what is old from the audit log", _RETENTION_SECONDS, retention),
    ]
    if jobs.shared:
        chores.append(Chore("telling other replicas of jobs", TELL_SECONDS, telling))
    return Upkeep("the service", chores)
