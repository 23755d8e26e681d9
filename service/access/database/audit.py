"""The audit log in a database: appended to by all replicas at once, chained by hashes as the one in files is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from service.access.audit_record import RETENTION, SHORTENED, START, Event, Head, line_of, own_members, parse_line
from service.access.database.connecting import Database
from service.access.database.tables import AUDIT, AUDIT_HEAD
from service.access.database.trail import TOLD, DatabaseTrail, day_of, noted_head
from service.access.errors import AuditError


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class _Waiting:
    """An event that is to be recorded, and then either its head or why it was not."""

    members: Mapping[str, Any]
    at: datetime
    durable: bool
    head: Head | None = None
    error: AuditError | None = None


class DatabaseAuditLog(DatabaseTrail):
    """What `AuditLog` is for one process, for any number of them, with any number of threads each.

    Who appends locks the row that names the last line until its lines are committed: so there is one chain. Threads of
    one process that wait for that share the next commit. A line that was appended survives the process; with
    `durable=True` it survives a loss of power of the database, too, when the call returns. If the database goes away
    during a commit, nobody knows whether the line is there, and it is told as not recorded.

    keep_days   lines of days longer ago are removed, with a record of it (0: never): at start, with the first event of
                each day in UTC that a process appends, and by `retain`.
    """

    def __init__(self, database: Database, *, keep_days: int = 0, now: Callable[[], datetime] = _utc_now) -> None:
        super().__init__(database)
        self._keep_days, self._now = keep_days, now
        self._waiting: list[_Waiting] = []
        self._queueing, self._recording = threading.Lock(), threading.Lock()
        self._retained = ""
        self._closed = False
        self._recover()
        self.retain()

    def append(self, event: Event, *, durable: bool = False) -> Head:
        """Records an event. durable: return only when it is on the disk, as before a write is acknowledged."""
        at = self._now().astimezone(UTC)
        mine = _Waiting(event.members(at), at, durable)
        with self._queueing:
            self._waiting.append(mine)
        with self._recording:  # who has it records for all that wait
            if mine.head is None and mine.error is None:
                with self._queueing:
                    batch, self._waiting = self._waiting, []
                self._record(batch)
        if mine.error is not None:
            raise AuditError(str(mine.error)) from mine.error
        assert mine.head is not None
        if self._keep_days and self._retained < day_of(at):
            with suppress(AuditError):  # the next one tries it again
                self.retain()
        return mine.head

    def retain(self) -> None:
        """Removes what is older than is kept."""
        self._check_open()
        if self._keep_days:
            at = self._now().astimezone(UTC)
            with self._database.told(*TOLD):
                through = self._told_removal(at)
                if through is not None:
                    # Nobody who appends waits for this. Cut off, it is done by the next one, who records it again.
                    with self._database.writing() as connection:
                        connection.execute(delete(AUDIT).where(AUDIT.c.position <= through))
            self._retained = day_of(at)

    def close(self) -> None:
        """Nothing more is taken; what was taken is recorded."""
        with self._recording:
            self._closed = True

    def _record(self, batch: Sequence[_Waiting]) -> None:
        heads: list[Head] = []
        try:
            self._check_open()
            durable = any(each.durable for each in batch)
            with self._database.told(*TOLD), self._database.writing(durable=durable) as connection:
                chain = _Chain(connection)
                for each in batch:
                    try:
                        heads.append(chain.add(each.members, each.at))
                    except AuditError as error:  # it cannot be written, and the others can
                        each.error = error
                chain.end()
        except AuditError as error:
            for each in batch:
                each.error = each.error or error
        except BaseException as error:
            for each in batch:
                each.error = each.error or AuditError(f"nothing was recorded or done ({type(error).__name__})")
            raise
        else:
            for each, head in zip((each for each in batch if each.error is None), heads, strict=True):
                each.head = head

    def _recover(self) -> None:
        """Whether the log ends with the line that is named as its last; if not, that is recorded for good."""
        with self._database.told(*TOLD), self._database.writing() as connection:
            connection.execute(select(AUDIT_HEAD).with_for_update()).one_or_none()
            noted, found = noted_head(connection), _last_sound(connection)
            if noted != found:
                last = connection.scalar(select(func.max(AUDIT.c.position))) or 0
                chain = _Chain(connection, last, found)
                expected = None if noted is None else str(noted)
                at = self._now().astimezone(UTC)
                chain.add(own_members(SHORTENED, at, {"expected": expected, "found": str(found)}), at)
                chain.end()

    def _told_removal(self, at: datetime) -> int | None:
        """Records what is to be removed: everything up to the position that is returned."""
        oldest = day_of(at - timedelta(days=self._keep_days))
        with self._database.writing() as connection:
            chain = _Chain(connection)
            kept = connection.scalar(select(func.min(AUDIT.c.position)).where(AUDIT.c.day >= oldest))
            old = select(AUDIT.c.position, AUDIT.c.line).order_by(AUDIT.c.position.desc()).limit(1)
            last = connection.execute(old if kept is None else old.where(AUDIT.c.position < kept)).one_or_none()
            parsed = None if last is None else parse_line(last.line.encode())
            # What is damaged must be looked at first, and a line's own word counts, not the day beside it.
            if last is None or parsed is None or str(parsed[1].get("at"))[:10] >= oldest:
                return None
            first = connection.scalar(select(func.min(AUDIT.c.position)))
            told = {"lines": last.position - first + 1, "through": str(parsed[0])}
            chain.add(own_members(RETENTION, at, told), at)
            chain.end()
            return int(last.position)

    def _check_open(self) -> None:
        if self._closed:
            raise AuditError("the audit log takes nothing more, because it is closed: nothing was recorded or done")


class _Chain:
    """The end of the log, locked until the transaction ends. position, head: where it is, if that is known."""

    def __init__(self, connection: Connection, position: int | None = None, head: Head = START) -> None:
        self._connection = connection
        self._rows: list[dict[str, Any]] = []
        self._is_new = position is not None
        if position is None:
            row = connection.execute(select(AUDIT_HEAD).with_for_update()).one_or_none()
            if row is None:
                raise AuditError(
                    f"the row of the table {AUDIT_HEAD.name} is gone, so that nothing can be chained to the last line: "
                    "nothing was recorded or done; start the service again, which puts that on record"
                )
            position, head = row.position, Head(row.sequence, row.sha256)
        self._position, self._head = position, head

    def add(self, members: Mapping[str, Any], at: datetime) -> Head:
        line, self._head = line_of(members, self._head)
        self._position += 1
        self._rows.append({"position": self._position, "day": day_of(at), "line": line.decode().rstrip("\n")})
        return self._head

    def end(self) -> None:
        if not self._rows:
            return
        self._connection.execute(insert(AUDIT), self._rows)
        if self._is_new:
            self._connection.execute(delete(AUDIT_HEAD))
            self._connection.execute(insert(AUDIT_HEAD).values(id=1, position=self._position, **self._head._asdict()))
        else:
            self._connection.execute(update(AUDIT_HEAD).values(position=self._position, **self._head._asdict()))


def _last_sound(connection: Connection) -> Head:
    """The last line that is as it was written."""
    rows = connection.execute(
        select(AUDIT.c.line).order_by(AUDIT.c.position.desc()).execution_options(yield_per=100)
    ).scalars()
    for line in rows:
        parsed = parse_line(line.encode("utf-8", "replace"))
        if parsed is not None:
            rows.close()
            return parsed[0]
    return START
