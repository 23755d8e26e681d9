"""One writer at a time to a gallery, among all threads of all processes that share it."""

from __future__ import annotations

import fcntl
import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import sqlalchemy as sa

from service.gallery.errors import UnavailableError
from service.gallery.milvus.shared_database import SharedDatabase

PATIENCE = 60.0  # seconds to wait for somebody else's turn to end
SHORTEST, LONGEST = 0.002, 0.05  # seconds between two looks whether it has


class Turns:
    """With PostgreSQL a turn is an advisory lock on a connection, with SQLite a lock on a file beside the database:
    either goes when the process does that holds it."""

    def __init__(self, database: SharedDatabase) -> None:
        self._shared, self._database = database, database.engine
        self._here: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._guard = threading.Lock()

    @contextmanager
    def here(self, collection: str) -> Iterator[None]:
        """Among the threads of this process: where those that wait may let the first do their work with its own."""
        with self._guard:
            lock = self._here[collection]
        if not lock.acquire(timeout=PATIENCE):
            raise _busy()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def everywhere(self, collection: str) -> Iterator[None]:
        """Among all processes; to be entered within `here`."""
        with self._shared.told(), ExitStack() as held:
            if self._database.dialect.name == "sqlite":
                path = Path(f"{self._database.url.database}.locks")
                path.mkdir(parents=True, exist_ok=True)
                file = held.enter_context((path / collection).open("a"))
                _taken(lambda: _flock(file.fileno()))
            else:
                connection = held.enter_context(self._database.connect())
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                number = sa.literal(_number(collection), sa.BigInteger)
                _taken(lambda: bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(number)))))
                held.callback(lambda: connection.execute(sa.select(sa.func.pg_advisory_unlock(number))))
            yield


def _number(name: str) -> int:
    """By which PostgreSQL knows a lock."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest())


def _taken(attempt: Callable[[], bool]) -> None:
    until, pause = time.monotonic() + PATIENCE, SHORTEST
    while not attempt():
        if time.monotonic() > until:
            raise _busy()
        time.sleep(pause)
        pause = min(2 * pause, LONGEST)


def _flock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _busy() -> UnavailableError:
    return UnavailableError(
        f"others have been writing to the gallery for {PATIENCE:g} seconds: nothing was done; ask again"
    )
