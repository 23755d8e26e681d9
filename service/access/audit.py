"""The audit log: every search and every write, appended as a line, chained by hashes, a file a day."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from service.access.audit_files import HEAD, LOCK, day_files, head_bytes, last_sound, name_of, read_head
from service.access.audit_record import RETENTION, SHORTENED, START, TORN, Event, Head, line_of, own_members
from service.access.audit_trail import AuditTrail
from service.access.errors import AuditError, AuditLockedError

AUDIT_FOLDER = Path("access") / "audit"
"""Where a data directory keeps it."""
FLUSH_MS = 200


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AuditLog(AuditTrail):
    """One writer; any number of threads may append. What cannot be recorded raises AuditError, and must not be done.

    A line that was appended survives the process at once, and a loss of power after `flush_ms`; one that was appended
    with `durable=True` survives that too when the call returns. Threads that wait for the disk share one wait.

    What a stopped process left of a line stays where it is, and a record tells of it. That the log is shorter than HEAD
    says is recorded too, for good.

    keep_days   files of days longer ago are removed as wholes, with a record of it (0: never). The log holds ids of
                items, also of those that were deleted since: this is what makes them go at last. It is done at start
                and with the first event of each day in UTC; `retain` does it at any time.
    """

    def __init__(
        self,
        directory: Path,
        *,
        keep_days: int = 0,
        flush_ms: float = FLUSH_MS,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        super().__init__(directory)
        self._keep_days, self._flush_seconds, self._now = keep_days, flush_ms / 1000, now
        self._lock = threading.Lock()  # of everything that is written
        self._syncing = threading.Lock()  # taken before the other
        self._closing, self._dirty = threading.Event(), threading.Event()
        self._broken: str | None = None
        self._file, self._day, self._size = -1, date.min, 0
        self._head, self._synced = START, 0
        with self._told():
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._held = _locked(directory / LOCK)
            try:
                self._noted = os.open(directory / HEAD, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    self._recover()
                except BaseException:
                    os.close(self._noted)
                    raise
            except BaseException:
                os.close(self._held)
                raise
        self._flusher = threading.Thread(target=self._flush_now_and_then, name="audit log", daemon=True)
        self._flusher.start()

    @property
    def head(self) -> Head:
        """The last line."""
        return self._head

    def append(self, event: Event, *, durable: bool = False) -> Head:
        """Records an event. durable: return only when it is on the disk, as before a write is acknowledged."""
        with self._lock, self._told():
            self._check_usable()
            at = self._now().astimezone(UTC)
            turned = self._write([event.members(at)], at)
            head = self._head
            if turned:
                self._retain(at)
        if durable:
            self.flush(head.sequence)
        else:
            self._dirty.set()
        return head

    def flush(self, sequence: int | None = None) -> None:
        """Returns when everything up to that line, or everything, is on the disk."""
        with self._syncing, self._told():
            with self._lock:
                head = self._head
                if self._synced >= (head.sequence if sequence is None else sequence):
                    return
                self._check_usable()
                file = os.dup(self._file)  # the day may end meanwhile, and its file be closed
            try:
                self._sync(file)
            finally:
                os.close(file)
            with self._lock:
                self._note(head)

    def retain(self) -> None:
        """Removes what is older than is kept."""
        with self._lock, self._told():
            self._check_usable()
            self._retain(self._now().astimezone(UTC))

    def close(self) -> None:
        """Puts everything on the disk and lets another process write."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._dirty.set()
        self._flusher.join()
        try:
            if self._broken is None:
                self.flush()
        finally:
            with self._syncing, self._lock:
                self._broken = "it is closed"
                for descriptor in (self._file, self._noted, self._held):
                    if descriptor >= 0:
                        os.close(descriptor)

    # Below, whoever calls holds the lock, but for the flusher.

    def _recover(self) -> None:
        files = day_files(self.directory)
        while files and files[-1].path.stat().st_size == 0:  # of a process that was stopped when it had made it
            files.pop().path.unlink()
        noted = read_head(self.directory)
        ends = (last_sound(file.path) for file in reversed(files))
        self._head = next((parsed[0] for parsed, _ in ends if parsed is not None), START)
        own: list[dict[str, Any]] = []
        at, feed = self._now().astimezone(UTC), b""
        if files:
            newest = files[-1].path
            self._file, self._day = os.open(newest, os.O_RDWR | os.O_APPEND), files[-1].day
            self._size = newest.stat().st_size
            _, end = last_sound(newest)
            rest = os.pread(self._file, self._size - end, end)
            feed = b"" if rest.endswith(b"\n") else b"\n"
            if rest not in (b"", b"\n"):
                piece = rest.removesuffix(b"\n")
                piece = piece.removeprefix(b"\n") if end else piece
                told = {"bytes": len(piece), "sha256": hashlib.sha256(piece).hexdigest()}
                own.append(own_members(TORN, at, told))
        if noted is None and not files:
            self._note(START)
        elif noted is None or noted.sequence > self._head.sequence or _contradicts(noted, self._head):
            expected = None if noted is None else str(noted)
            own.append(own_members(SHORTENED, at, {"expected": expected, "found": str(self._head)}))
        if own or feed:
            self._write(own, at, feed=feed, turn=not files)
        if files or own:
            self._sync(self._file)
            self._note(self._head)
        self._retain(at)

    def _write(
        self, events: Sequence[Mapping[str, Any]], at: datetime, *, feed: bytes = b"", turn: bool = True
    ) -> bool:
        """Appends all or nothing. Says whether a new file was begun."""
        head, lines = self._head, [feed]
        for members in events:
            line, head = line_of(members, head)
            lines.append(line)
        turned = turn and at.date() != self._day
        if turned:
            self._begin(at.date())
        content = memoryview(b"".join(lines))
        written = 0
        try:
            while written < len(content):
                written += os.write(self._file, content[written:])
        except OSError:
            try:
                os.ftruncate(self._file, self._size)  # nobody was told of what is taken back here
            except OSError as error:
                self._broken = f"half a line could not be taken back ({error.strerror})"
            raise
        self._size += written
        self._head = head
        return turned

    def _begin(self, day: date) -> None:
        """A new file; what is in the old one is on the disk first, because the new one goes on from there."""
        path = self.directory / name_of(self._head.sequence + 1, day)
        if self._file >= 0:
            self._sync(self._file)
        # It may be there, and empty, if it could not be used a moment ago.
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        _sync_directory(self.directory)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._day, self._size = file, day, 0

    def _retain(self, at: datetime) -> None:
        if not self._keep_days:
            return
        oldest = at.date() - timedelta(days=self._keep_days)
        old = []
        for file in day_files(self.directory):
            if file.day >= oldest:
                break
            if file.path.stat().st_size:
                old.append(file)
        through = last_sound(old[-1].path)[0] if old else None
        if through is None:  # nothing is old, or what is old is damaged and must be looked at first
            return
        removed = {"files": [file.path.name for file in old], "through": str(through[0])}
        self._write([own_members(RETENTION, at, removed)], at)
        self._sync(self._file)
        self._note(self._head)
        for file in old:
            file.path.unlink()
        _sync_directory(self.directory)

    def _sync(self, file: int) -> None:
        try:
            os.fsync(file)
        except OSError as error:
            # What the disk holds is not known any more, and asking again may say yes without being true.
            self._broken = f"the disk did not take what was written ({error.strerror})"
            raise

    def _note(self, head: Head) -> None:
        """Says in HEAD that everything up to there is on the disk."""
        if head == START or head.sequence > self._synced:
            os.pwrite(self._noted, head_bytes(head), 0)
            self._synced = head.sequence

    def _check_usable(self) -> None:
        if self._broken is not None:
            raise AuditError(
                f"the audit log in {self.directory} takes nothing more, because {self._broken}: nothing was recorded "
                "or done; start the service again"
            )

    def _flush_now_and_then(self) -> None:
        while not self._closing.is_set():
            self._dirty.wait()
            self._closing.wait(self._flush_seconds)
            self._dirty.clear()
            with suppress(AuditError):  # the next one to append is told
                self.flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AuditError(
                f"the audit log in {self.directory} cannot be written ({error.strerror}): nothing was recorded or "
                "done; see that its disk is not full and that the directory is yours"
            ) from error


def _contradicts(noted: Head, head: Head) -> bool:
    return noted.sequence == head.sequence and noted != head


def _locked(path: Path) -> int:
    """Takes the lock, which goes when the process does."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 100, 0).decode("ascii", "replace").strip() or "a process that did not say which"
        os.close(lock)
        raise AuditLockedError(
            f"the audit log in {path.parent} is being written by {holder}: one service at a time has a data directory"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"process {os.getpid()}\n".encode(), 0)
    return lock


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
