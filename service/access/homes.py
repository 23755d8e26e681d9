"""Where keys and audit log live: in files of the data directory, or in a database that replicas share."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from service.access.audit import AUDIT_FOLDER, AuditLog
from service.access.audit_record import Entry, Event, Head
from service.access.audit_trail import AuditTrail
from service.access.audit_walk import AuditReport
from service.access.database_address import check_address
from service.access.errors import DatabaseError
from service.access.keys import KEYS_FILE, KeyStore

if TYPE_CHECKING:
    from service.access.database import Database, JobBoard


class AuditReader(Protocol):
    def verify(self, head: Head | None = None) -> AuditReport: ...

    def entries(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        key: str | None = None,
        gallery: str | None = None,
        action: str | None = None,
    ) -> Iterator[Entry]: ...


class AuditWriter(AuditReader, Protocol):
    """What cannot be recorded raises AuditError, and must not be done. Any number of threads may call."""

    def append(self, event: Event, *, durable: bool = False) -> Head: ...

    def retain(self) -> None:
        """Removes what is older than is kept."""
        ...

    def close(self) -> None: ...


class Home(Protocol):
    """What it gives is closed by whoever asked for it, and before the home is."""

    def keys(self, *, watch: bool = False) -> KeyStore:
        """watch: for a service, in which no request may wait for a database."""
        ...

    def audit(self, keep_days: int) -> AuditWriter: ...

    def trail(self) -> AuditReader: ...

    def jobs(self) -> JobBoard | None:
        """Where replicas tell of their jobs; None where there is one process alone."""
        ...

    def close(self) -> None: ...


class FileHome:
    """The data directory of one service."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def keys(self, *, watch: bool = False) -> KeyStore:
        return KeyStore(self._data / KEYS_FILE)

    def audit(self, keep_days: int) -> AuditWriter:
        return AuditLog(self._data / AUDIT_FOLDER, keep_days=keep_days)

    def trail(self) -> AuditReader:
        return AuditTrail(self._data / AUDIT_FOLDER)

    def jobs(self) -> None:
        return None

    def close(self) -> None:
        """Nothing is open."""


class DatabaseHome:
    """Tables of a database; any number of services may share them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keys(self, *, watch: bool = False) -> KeyStore:
        from service.access.database import DatabaseKeys

        store = KeyStore(DatabaseKeys(self._database))
        if watch:
            store.watch()
        return store

    def audit(self, keep_days: int) -> AuditWriter:
        from service.access.database import DatabaseAuditLog

        return DatabaseAuditLog(self._database, keep_days=keep_days)

    def trail(self) -> AuditReader:
        from service.access.database import DatabaseTrail

        return DatabaseTrail(self._database)

    def jobs(self) -> JobBoard:
        from service.access.database import JobBoard

        return JobBoard(self._database)

    def close(self) -> None:
        self._database.close()


def open_home(data: Path, database: str | None) -> Home:
    """database: its URL; None for the files of the data directory. DatabaseAwayError if it cannot be reached now."""
    if database is None:
        return FileHome(data)
    address = check_address(database)
    try:
        from service.access.database import Database

        if address.startswith("postgresql"):
            import psycopg  # noqa: F401 - sqlalchemy imports it by its name, and then the sentence would be another
    except ModuleNotFoundError as error:
        raise DatabaseError(
            f"keys and audit log are to be kept in a database, and {error.name} is not installed: pip install "
            "'vantage-reid[sql]', or leave VANTAGE_DATABASE out"
        ) from error
    return DatabaseHome(Database(address))
