"""Every search and every write is told to the audit log before its answer is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from service.access import AuditLog, Event

if TYPE_CHECKING:
    from service.api.access import Caller


class Recorder:
    """log: None where the settings leave auditing out. All of it waits for a disk: call it on a thread."""

    def __init__(self, log: AuditLog | None) -> None:
        self._log = log

    def searched(self, caller: Caller, gallery: str | None, parameters: Mapping[str, Any], ids: Sequence[str]) -> None:
        self._tell(caller, "search", gallery, parameters, ids)

    def written(
        self,
        caller: Caller,
        action: str,
        gallery: str | None,
        parameters: Mapping[str, Any] | None = None,
        ids: Sequence[str] = (),
        outcome: str = "ok",
    ) -> None:
        """On the disk when this returns, as the write itself is."""
        self._tell(caller, action, gallery, parameters or {}, ids, outcome, durable=True)

    def refused(self, caller: Caller, method: str, gallery: str | None, outcome: str) -> None:
        """Somebody asked for what is not theirs."""
        self._tell(caller, "refused", gallery, {"method": method}, (), outcome)

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    def _tell(
        self,
        caller: Caller,
        action: str,
        gallery: str | None,
        parameters: Mapping[str, Any],
        ids: Sequence[str],
        outcome: str = "ok",
        *,
        durable: bool = False,
    ) -> None:
        if self._log is None:
            return
        event = Event(
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
        self._log.append(event, durable=durable)
