"""A database that replicas share: PostgreSQL, or for processes of one machine a file of SQLite."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, insert, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.access.audit_record import START
from service.access.database.tables import AUDIT_HEAD, KEY_CHANGES, SCHEMA, TABLES, VERSION
from service.access.database_address import check_address, shown
from service.access.errors import AccessError, DatabaseAwayError, DatabaseError

_WAIT_SECONDS = 10.0
# A replica that stands still with a lock in its hand would stop all others: the server takes it away. A connection
# whose other end is gone without a word is noticed.
_POSTGRESQL: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "vantage",
}
_OPTIONS = "-c lock_timeout=10s -c statement_timeout=60s -c idle_in_transaction_session_timeout=10s"
_MAKING = 0x56616E7461676531  # of the advisory lock under which tables are made


class Database:
    """Any number of threads may call; connections are kept, and made anew when the server was away.

    What fails raises SQLAlchemyError; `told` turns that into a sentence.
    """

    def __init__(self, url: str) -> None:
        """Opens it, and makes its tables unless they are there; DatabaseAwayError if it cannot be reached."""
        self.name = shown(url)
        try:
            address = make_url(check_address(url))
            self._engine = _sqlite(address) if address.drivername == "sqlite" else _postgresql(address)
        except ArgumentError as error:
            raise DatabaseError(f"the database is {self.name!r}, which is no URL: {error}") from error
        except OSError as error:
            raise DatabaseError(
                f"{self.name} cannot be made or opened ({error.strerror}): name a file that you may write to"
            ) from error
        try:
            self._prepare()
        except (OperationalError, InterfaceError, PoolTimeoutError) as error:
            self.close()
            raise DatabaseAwayError(f"{self.name} cannot be reached ({reason(error)})") from error
        except SQLAlchemyError as error:
            self.close()
            raise DatabaseError(
                f"{self.name} cannot be used ({reason(error)}): let its user make tables there, or make them as another"
            ) from error
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """All that is read is of one moment."""
        with self._engine.connect() as connection:
            if self._is_sqlite:
                connection = connection.execution_options(begin="BEGIN")
            else:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Connection]:
        """All or nothing of it is done. durable: it survives a loss of power when this returns; else soon after."""
        with self._engine.connect() as connection:
            if self._is_sqlite:
                connection = connection.execution_options(begin="BEGIN IMMEDIATE", durable=durable)
            with connection.begin():
                if not (durable or self._is_sqlite):
                    connection.execute(text("SET LOCAL synchronous_commit TO off"))
                yield connection

    def seconds(self, connection: Connection) -> float:
        """The database's clock, which is one for all replicas."""
        if self._is_sqlite:
            return time.time()
        return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())

    @contextmanager
    def told(self, kind: type[AccessError], what: str, so: str) -> Iterator[None]:
        """kind: of the error that says that `what` cannot be read or written, and what follows from it."""
        try:
            yield
        except SQLAlchemyError as error:
            raise kind(f"{what} in {self.name} cannot be read or written ({reason(error)}): {so}") from error

    def close(self) -> None:
        self._engine.dispose()

    @property
    def _is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def _prepare(self) -> None:
        with self.reading() as connection:
            if inspect(connection).has_table(SCHEMA.name):
                self._check_version(connection)
                return
        with self.writing() as connection:
            if not self._is_sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(_MAKING)))
            if not inspect(connection).has_table(SCHEMA.name):  # else another replica was first
                TABLES.create_all(connection)
                connection.execute(insert(SCHEMA).values(version=VERSION))
                connection.execute(insert(KEY_CHANGES).values(id=1, count=0))
                connection.execute(insert(AUDIT_HEAD).values(id=1, position=0, **START._asdict()))
        with self.reading() as connection:
            self._check_version(connection)

    def _check_version(self, connection: Connection) -> None:
        version = connection.scalar(select(SCHEMA.c.version))
        if version != VERSION:
            raise DatabaseError(
                f"the tables in {self.name} are of version {version}, and this program knows {VERSION}: use the one "
                "that made them, or another database"
            )


def reason(error: SQLAlchemyError) -> str:
    """What the database said, on one line."""
    said = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return " ".join(said.split()) or type(error).__name__


def _postgresql(address: URL) -> Engine:
    given = address.query
    arguments = {name: value for name, value in _POSTGRESQL.items() if name not in given}
    arguments["options"] = " ".join([_OPTIONS, str(given.get("options", ""))]).strip()
    return create_engine(
        address,
        connect_args=arguments,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_timeout=_WAIT_SECONDS,
        hide_parameters=True,
    )


def _sqlite(address: URL) -> Engine:
    path = Path(address.database or "").absolute()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA secure_delete = ON").fetchone()
        return connection

    opened = _identity(path)
    engine = create_engine(address, creator=connect, pool_timeout=_WAIT_SECONDS, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if _identity(path) != opened:  # what is in the file that was here would be lost, or is
            raise OperationalError("BEGIN", None, sqlite3.OperationalError("the file was removed or replaced"))
        options = connection.get_execution_options()
        connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if options.get('durable', True) else 'NORMAL'}")
        connection.exec_driver_sql(str(options["begin"]))

    return engine


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
