"""One SQLite file: a connection that writes, connections that only read, and its errors as ours."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from service.gallery.embedded import schema
from service.gallery.embedded.syncing import full_disk_told
from service.gallery.errors import CorruptError, GalleryError, StorageFullError, UnavailableError

OLDEST_SQLITE = (3, 38, 0)  # from which on JSON functions are always there
PAGE_BYTES = 8192  # seven vectors of 512 dimensions in a page, where the usual 4096 bytes take three
WAIT_SECONDS = 60.0
WRITER_CACHE_KIB = 65536
READER_CACHE_KIB = 8192
IDLE_READERS = 16


class Database:
    """Opened by `create` or `open`. The writing connection belongs to whoever writes, one at a time; any number of
    threads may read meanwhile, each through `reading()`.

    snapshots  names of those there are to restore from, for the error that says so.
    """

    def __init__(self, path: Path, writer: sqlite3.Connection, snapshots: Sequence[str]) -> None:
        self.path, self.writer, self._snapshots = path, writer, tuple(snapshots)
        self._idle: deque[sqlite3.Connection] = deque()
        self._pool = threading.Lock()
        self._closed = threading.Event()

    @classmethod
    def create(cls, path: Path) -> Database:
        """Makes the file with its schema in it."""
        _check_library()
        with told(path):
            path.touch(exist_ok=False)
            with contextlib.ExitStack() as undo:
                connection = undo.enter_context(closing(_connect(path, "rw", WRITER_CACHE_KIB)))
                connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
                connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
                _prepare_writer(connection)
                schema.migrate(connection, path)
                undo.pop_all()
        return cls(path, connection, ())

    @classmethod
    def open(cls, path: Path, snapshots: Sequence[str] = ()) -> Database:
        """Opens and looks it over; CorruptError for what is damaged, GalleryError for what a newer version made."""
        _check_library()
        if not path.is_file():
            raise _corrupt(path, "the file is not there", snapshots)
        with told(path, snapshots), contextlib.ExitStack() as undo:
            connection = undo.enter_context(closing(_connect(path, "rw", WRITER_CACHE_KIB)))
            # SQLite takes an empty file for a new database, and any other database for ours.
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            if application != schema.APPLICATION_ID:
                raise _corrupt(path, "it is empty, or no gallery's database", snapshots)
            schema.refuse_newer(connection, path)
            _prepare_writer(connection)
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise _corrupt(path, verdict, snapshots)
            schema.migrate(connection, path)
            if schema.tables(connection) != schema.expected_tables():
                raise _corrupt(path, "its tables are not what was made", snapshots)
            # What a process that was stopped left in the write-ahead log, which may name what was deleted.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            undo.pop_all()
        return cls(path, connection, snapshots)

    def told(self) -> contextlib.AbstractContextManager[None]:
        """Turns SQLite's errors into ours."""
        return told(self.path, self._snapshots)

    def corrupt(self, problem: str) -> CorruptError:
        return _corrupt(self.path, problem, self._snapshots)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that cannot write. Each statement sees one committed state of the whole database."""
        if self._closed.is_set():
            raise UnavailableError(f"{self.path} is closed: nothing was done")
        with self.told():
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = _connect(self.path, "ro", READER_CACHE_KIB)
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                with self._pool:
                    if self._closed.is_set() or len(self._idle) >= IDLE_READERS:
                        connection.close()
                    else:
                        self._idle.append(connection)

    def close(self) -> None:
        """Closes; a reader that is still under way closes its connection itself when it is done."""
        with self._pool:
            self._closed.set()
            while self._idle:
                self._idle.pop().close()
        self.writer.close()  # the last one out moves the write-ahead log into the database


@contextmanager
def told(path: Path, snapshots: Sequence[str] = ()) -> Iterator[None]:
    """Turns the errors of SQLite and of the disk into ours."""
    try:
        with full_disk_told(path):
            yield
    except UnicodeDecodeError as error:  # SQLite's message quotes what is damaged
        raise _corrupt(path, "a text in it is no UTF-8", snapshots) from error
    except sqlite3.Error as error:
        code: int = getattr(error, "sqlite_errorcode", 0)  # Python's own errors have none
        if code == sqlite3.SQLITE_FULL or code in (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE):
            # A full quota and a file that may not grow come as a write error, without saying why.
            raise StorageFullError(
                f"{path} cannot take more ({error}): free some space on its disk or raise the quota; nothing of what "
                "was asked for was done"
            ) from error
        if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise _corrupt(path, str(error), snapshots) from error
        if "Could not decode to UTF-8" in str(error):
            raise _corrupt(path, "a text in it is no UTF-8", snapshots) from error
        if isinstance(error, sqlite3.ProgrammingError) and "closed database" in str(error):
            raise UnavailableError(f"{path} is closed: nothing was done") from error
        raise


def read_only_copy(path: Path) -> sqlite3.Connection:
    """A connection to a file that nobody writes to, such as a snapshot's; it leaves nothing beside it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)


def _connect(path: Path, mode: str, cache_kib: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=WAIT_SECONDS,
        isolation_level=None,  # transactions are ours to begin
        check_same_thread=False,
    )
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _prepare_writer(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL").fetchone()
    for setting in ("synchronous = FULL", "secure_delete = ON", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}").fetchone()


def _corrupt(path: Path, problem: str, snapshots: Sequence[str]) -> CorruptError:
    there = f"; there are: {', '.join(snapshots)}" if snapshots else ""
    return CorruptError(
        f"{path} is damaged ({' '.join(problem.split())}): nothing of it is served; restore a snapshot with "
        f"`vantage gallery restore`{there}"
    )


def _check_library() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise GalleryError(f"this Python brings SQLite {sqlite3.sqlite_version}: use one with {wanted} or newer")
