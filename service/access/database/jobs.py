"""What replicas tell each other of their long work, so that each can say how far any of it is."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Row, delete, insert, select, update

from service.access.database.connecting import Database
from service.access.database.tables import JOBS
from service.access.errors import DatabaseAwayError

_TOLD = (DatabaseAwayError, "the list of jobs", "ask again later")
KEPT = 1000
LOST_SECONDS = 60.0


class Posted(NamedTuple):
    """A job as its replica told of it. lost: it has not ended, and its replica has been silent for a minute."""

    told: dict[str, Any]
    lost: bool


class JobBoard:
    """The jobs of all replicas. This process is one of them, from here on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._replica = uuid.uuid4().hex

    def post(self, id: str, told: Mapping[str, Any], *, ended: bool) -> None:
        """Tells of a job of this replica, first or anew. told: what JSON can hold."""
        text = json.dumps(told)
        with self._database.told(*_TOLD), self._database.writing() as connection:
            now = self._database.seconds(connection)
            known = update(JOBS).where(JOBS.c.id == id).values(told=text, ended=ended, seen=now)
            if connection.execute(known).rowcount:
                return
            new = {"id": id, "replica": self._replica, "created": now, "seen": now, "ended": ended, "told": text}
            connection.execute(insert(JOBS).values(new))
            oldest = connection.scalar(select(JOBS.c.created).order_by(JOBS.c.created.desc()).offset(KEPT).limit(1))
            if oldest is not None:
                connection.execute(delete(JOBS).where(JOBS.c.created <= oldest, JOBS.c.ended))

    def beat(self) -> None:
        """Says that this replica lives, and its jobs with it."""
        mine = update(JOBS).where(JOBS.c.replica == self._replica, ~JOBS.c.ended)
        with self._database.told(*_TOLD), self._database.writing(durable=False) as connection:
            connection.execute(mine.values(seen=self._database.seconds(connection)))

    def get(self, id: str) -> Posted | None:
        with self._database.told(*_TOLD), self._database.reading() as connection:
            row = connection.execute(select(JOBS).where(JOBS.c.id == id)).one_or_none()
            return None if row is None else _posted(row, self._database.seconds(connection))

    def list(self) -> list[Posted]:
        """The latest first."""
        with self._database.told(*_TOLD), self._database.reading() as connection:
            rows = connection.execute(select(JOBS).order_by(JOBS.c.created.desc()).limit(KEPT)).all()
            now = self._database.seconds(connection)
        return [_posted(row, now) for row in rows]


def _posted(row: Row[Any], now: float) -> Posted:
    return Posted(json.loads(row.told), not row.ended and now - row.seen > LOST_SECONDS)
