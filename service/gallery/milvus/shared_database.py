"""The database that all processes share: SQLite among those of one machine, PostgreSQL among many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from service.access.database_address import check_address
from service.gallery.errors import ExistsError, UnavailableError
from service.gallery.milvus.tables import METADATA

MAKING = 0x76616E7467616C  # of the advisory lock under which the tables are made
AT_ONCE = 500  # values in one statement
WAIT_SECONDS = 10.0
# A process that stands still in the middle of a transaction would stop all others: the server ends that.
POSTGRESQL = {"connect_timeout": 5, "tcp_user_timeout": 15_000, "application_name": "vantage galleries"}
OPTIONS = "-c lock_timeout=10s -c statement_timeout=60s -c idle_in_transaction_session_timeout=10s"


class SharedDatabase:
    """Any number of threads may call. What fails raises UnavailableError, and has changed nothing."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(writing=True)
        with self.writing() as connection:
            if engine.dialect.name == "postgresql":  # several processes may start at once
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MAKING)))
            METADATA.create_all(connection)

    @classmethod
    def open(cls, url: str) -> SharedDatabase:
        """By URL; a write that was committed is on the disk."""
        return cls(_engine(url))

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        with self.told(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        with self.told(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def told(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError as error:
            raise ExistsError("somebody else made a gallery of that name at the same time: choose another") from error
        except sa.exc.SQLAlchemyError as error:
            where = self.engine.url.render_as_string(hide_password=True)
            problem = " ".join(str(getattr(error, "orig", None) or error).split())
            raise UnavailableError(
                f"the database of the galleries, {where}, cannot be used now ({problem}): ask again"
            ) from error

    def close(self) -> None:
        self.engine.dispose()


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(table.insert(), list(rows))


def blocks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), AT_ONCE):
        yield values[start : start + AT_ONCE]


def _engine(url: str) -> sa.Engine:
    address = sa.make_url(check_address(url))
    if address.get_backend_name() == "sqlite":
        Path(address.database or "").absolute().parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(address, pool_timeout=WAIT_SECONDS)
    else:
        given = address.query
        arguments: dict[str, Any] = {name: value for name, value in POSTGRESQL.items() if name not in given}
        arguments["options"] = " ".join((OPTIONS, str(given.get("options", "")))).strip()
        # A connection is held for each gallery that is being written to, and another is needed meanwhile.
        engine = sa.create_engine(
            address, pool_timeout=WAIT_SECONDS, max_overflow=40, pool_pre_ping=True, connect_args=arguments
        )
    if engine.dialect.name == "sqlite":

        @sa.event.listens_for(engine, "connect")
        def prepare(connection: Any, _: object) -> None:
            for setting in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 60000"):
                connection.execute(f"PRAGMA {setting}").fetchone()
            connection.isolation_level = None  # the next one begins transactions, for writing at once

        @sa.event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql(
                "BEGIN IMMEDIATE" if connection.get_execution_options().get("writing") else "BEGIN"
            )

    return engine
