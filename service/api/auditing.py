"""Every search and every write is told to the audit log before its answer is given.

A write is recorded once it is done, so that the log tells what happened. If the log fails just then, the write stays:
whoever asked is told that it was done and not recorded, nothing more is written or searched, the service is not ready,
and what is owed to the log is recorded first as soon as it can be written again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.access import AuditError, AuditWriter, Event, UnrecordedError

if TYPE_CHECKING:
    from service.api.access import Caller

log = logging.getLogger("vantage")


class Recorder:
    """log: None where the settings leave auditing out. All of it waits for a disk, or for
    a database: call it on a thread."""

    def __init__(self, log: AuditWriter | None) -> None:
        self._log = log
        self._failed_at: datetime | None = None
        self._owed: list[Event] = []
        self._mending = threading.Lock()

    @property
    def failing(self) -> bool:
        """Whether the log could not be written the last time."""
        return self._failed_at is not None

    def check(self) -> None:
        """AuditError while the log cannot be written; what is owed to it is recorded as soon as it can be."""
        if self._log is not None and self.failing:
            with self._mending:
                self._mend(self._log)

    def searched(self, caller: Caller, gallery: str | None, parameters: Mapping[str, Any], ids: Sequence[str]) -> None:
        self._append(_event(caller, "search", gallery, parameters, ids))

    def written(
        self,
        caller: Caller,
        action: str,
        gallery: str | None,
        parameters: Mapping[str, Any] | None = None,
        ids: Sequence[str] = (),
        outcome: str = "ok",
    ) -> None:
        """On the disk when this returns, as the write itself is; UnrecordedError if that fails."""
        event = _event(caller, action, gallery, parameters or {}, ids, outcome)
        try:
            self._append(event, durable=True)
        except AuditError as error:
            if outcome != "ok":  # nothing was done
                raise
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            with self._mending:
                self._owed.append(replace(event, parameters=dict(event.parameters) | {"done_at": at}))
            log.error("done, but not recorded: %s in gallery %s, request %s", action, gallery, caller.request_id)
            raise UnrecordedError(
                f"this was done and stays, but the audit log could not be told ({error}): nothing more is done until "
                "it can be; then it is recorded"
            ) from error

    def refused(self, caller: Caller, method: str, gallery: str | None, outcome: str) -> None:
        """Somebody asked for what is not theirs."""
        self._append(_event(caller, "refused", gallery, {"method": method}, (), outcome))

    def retain(self) -> None:
        """Removes what is older than is kept, also where nobody asks for anything."""
        if self._log is not None:
            self._log.retain()

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    def _mend(self, audit: AuditWriter) -> None:
        if self._failed_at is None:  # another thread was first
            return
        while self._owed:
            audit.append(self._owed[0], durable=True)
            del self._owed[0]
        told = {"failed_at": self._failed_at.isoformat(timespec="milliseconds")}
        audit.append(Event(action="resumed", parameters=told), durable=True)
        self._failed_at = None
        log.warning("the audit log is written again, and tells of everything that was done")

    def _append(self, event: Event, *, durable: bool = False) -> None:
        if self._log is None:
            return
        self.check()
        try:
            self._log.append(event, durable=durable)
        except AuditError:
            self._failed_at = datetime.now(UTC)
            raise


def _event(
    caller: Caller,
    action: str,
    gallery: str | None,
    parameters: Mapping[str, Any],
    ids: Sequence[str],
    outcome: str = "ok",
) -> Event:
    return Event(
        action=action,
        outcome=outcome,
        request_id=caller.request_id,
        key=caller.key,
        client=caller.client,
        purpose=caller.purpose,
        gallery=gallery,
        parameters=parameters,
        ids=ids,
    )
