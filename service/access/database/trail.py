"""Reading an audit log in a database, also while replicas write it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from service.access.audit_record import Entry, Head, chosen, read_entry
from service.access.audit_walk import AuditReport, Walk
from service.access.database.connecting import Database
from service.access.database.tables import AUDIT, AUDIT_HEAD
from service.access.errors import AuditError

TOLD = (AuditError, "the audit log", "nothing was recorded or done")
_AT_ONCE = 1000


class DatabaseTrail:
    """The audit log in a database. It is closed by whoever opened it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def verify(self, head: Head | None = None) -> AuditReport:
        """Walks the whole chain as it is at one moment, as `AuditTrail.verify` does.

        Found without `head`: a line that was changed, removed, put in, moved or repeated, at the end too, unless the
        table of the last line was changed to match. Found only with it: that somebody who may write the tables computed
        all hashes anew, or took lines off the end and that row with them.
        """
        lines = select(AUDIT.c.position, AUDIT.c.line).order_by(AUDIT.c.position)
        with self._database.told(*TOLD), self._database.reading() as connection:
            noted = noted_head(connection)
            walk = Walk({f"table {AUDIT_HEAD.name}": noted, "the head that was given": head})
            streamed = connection.execution_options(yield_per=_AT_ONCE)
            for number, (position, line) in enumerate(streamed.execute(lines)):
                if not number:
                    walk.begin(position)
                walk.line(f"line {position}", line.encode("utf-8", "replace"))
        if noted is None:
            walk.find(f"table {AUDIT_HEAD.name}", "its row is missing, so lines may have been taken off the end")
        return walk.report()

    def entries(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        key: str | None = None,
        gallery: str | None = None,
        action: str | None = None,
    ) -> Iterator[Entry]:
        """What was recorded from `since` on and before `until`, with the key of that id, there, and of that action.

        Lines that are not as they were written are left out: `verify` tells of them.
        """
        return chosen(self._entries(since, until), since=since, until=until, key=key, gallery=gallery, action=action)

    def _entries(self, since: datetime | None, until: datetime | None) -> Iterator[Entry]:
        lines = select(AUDIT.c.position, AUDIT.c.line).order_by(AUDIT.c.position).limit(_AT_ONCE)
        if since is not None:
            lines = lines.where(AUDIT.c.day >= day_of(since))
        if until is not None:
            lines = lines.where(AUDIT.c.day <= day_of(until))
        position = 0
        while True:  # in pieces, so that nothing is held open for as long as somebody reads
            with self._database.told(*TOLD), self._database.reading() as connection:
                rows = connection.execute(lines.where(AUDIT.c.position > position)).all()
            for row in rows:
                entry = read_entry(row.line.encode("utf-8", "replace"))
                if entry is not None:
                    yield entry
            if len(rows) < _AT_ONCE:
                return
            position = rows[-1].position


def noted_head(connection: Connection) -> Head | None:
    """What the table of the last line says."""
    row = connection.execute(select(AUDIT_HEAD.c.sequence, AUDIT_HEAD.c.sha256)).one_or_none()
    return None if row is None else Head(row.sequence, row.sha256)


def day_of(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()
