"""The keys of a service: made, listed and revoked by a command, asked about by the service at the same time."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service.access import key_file
from service.access.errors import (
    BadKeyError,
    ExpiredKeyError,
    KeyStoreError,
    MissingKeyError,
    NoSuchKeyError,
    RevokedKeyError,
    UnknownKeyError,
)
from service.access.key import Key, Scope, check_scopes, check_text
from service.access.rates import Rate

KEYS_FILE = Path("access") / "keys.sqlite"
"""Where a data directory keeps them."""
KEY_PATTERN = r"vk_([0-9a-f]{8})_[0-9a-f]{64}"
REFRESH_SECONDS = 0.5
USE_KEPT_EVERY = timedelta(minutes=5)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class KeyStore:
    """Keys in a file of their own, which any number of processes may have open; any number of threads may call.

    A key reads `vk_<id>_<secret>`. Its SHA-256 is stored, without salt or stretching: those protect what people choose
    and others guess, and a secret here is 256 random bits, which nobody guesses. Hashes are compared in constant time.

    What another process changed is noticed at the first call `refresh_seconds` after the last look. A look is one
    pragma and one stat; the keys are read again only when there was a change. Where the file cannot be read any more,
    nobody is let in.

    Revoked and expired keys stay listed: the audit log names keys by their ids, and a service must not open itself to
    everybody because the last key was taken back.
    """

    def __init__(
        self,
        path: Path,
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        now: Callable[[], datetime] = _utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path, self._refresh_seconds, self._now, self._monotonic = path, refresh_seconds, now, monotonic
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[Key, bytes]] = {}
        key_file.make(path)
        with contextlib.ExitStack() as undo:
            self._connection = undo.enter_context(contextlib.closing(key_file.connect(path, synchronous="FULL")))
            # Without a wait for others and without fsync: when a key was last used may be lost.
            self._uses = undo.enter_context(contextlib.closing(key_file.connect(path, synchronous="NORMAL", wait=0)))
            self._file = self._identity()
            self._seen, self._look_again_at = -1, 0.0
            self._refresh(at_once=True)
            undo.pop_all()

    @property
    def has_keys(self) -> bool:
        """Whether there is any key, be it revoked or expired: from the first one on, everybody needs one."""
        self._refresh()
        return bool(self._keys)

    def create(
        self,
        scopes: Iterable[Scope],
        *,
        name: str,
        galleries: Iterable[str] | None = None,
        expires_at: datetime | None = None,
        purpose: str | None = None,
        rate: Rate | None = None,
    ) -> tuple[Key, str]:
        """Makes a key; the second of the pair is what its holder sends, and is told this once."""
        now = self._now()
        if expires_at is not None:
            if expires_at.tzinfo is None:
                raise BadKeyError(f"expires_at is {expires_at.isoformat()}, without a time zone: add Z for UTC")
            expires_at = expires_at.astimezone(UTC)
            if expires_at <= now:
                raise BadKeyError(f"expires_at is {expires_at.isoformat()}, which is over: give a time to come")
        key = Key(
            id=secrets.token_hex(4),
            name=check_text("a key's name", name),
            scopes=check_scopes(tuple(scopes)),
            galleries=None if galleries is None else _checked(galleries),
            purpose=None if purpose is None else check_text("a key's purpose", purpose),
            rate=rate,
            created_at=now,
            expires_at=expires_at,
            revoked_at=None,
            last_used=None,
        )
        secret = f"vk_{key.id}_{secrets.token_hex(32)}"
        with self._lock, key_file.told(self.path):
            key_file.insert(self._connection, key, _digest(secret))
        self._refresh(at_once=True)
        return key, secret

    def list(self) -> tuple[Key, ...]:
        """All keys, in the order in which they were made."""
        self._refresh(at_once=True)
        return tuple(key for key, _ in self._keys.values())

    def revoke(self, id: str) -> Key:
        """Takes a key back for good; one that was revoked before stays so, since then."""
        with self._lock, key_file.told(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                held = {key.id: key for key, _ in key_file.read(self._connection)}
                if id not in held:
                    raise NoSuchKeyError(
                        f"there is no key {_unsecret(id)!r}: `vantage key list` lists the ids, eight digits each"
                    )
                if held[id].revoked_at is None:
                    key_file.set_time(self._connection, id, "revoked_at", self._now())
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        self._refresh(at_once=True)
        return self._keys[id][0]

    def authenticate(self, text: str | None) -> Key:
        """The key that was sent, if it is good now; else one of the four UnauthenticatedErrors."""
        if not text:
            raise MissingKeyError(
                "this service wants a key: send one in the header `Authorization: Bearer vk_...`; `vantage key create` "
                "makes one"
            )
        self._refresh()
        match = re.fullmatch(KEY_PATTERN, text, re.ASCII)
        key, sha256 = self._keys.get(match[1] if match else "", (None, bytes(32)))
        if not hmac.compare_digest(_digest(text), sha256) or key is None:
            raise UnknownKeyError(
                "this is no key of this service: see that it was copied whole; `vantage key list` lists the ids"
            )
        now = self._now()
        state = key.state(now)
        if state == "revoked":
            raise RevokedKeyError(f"key {key.id} ({key.name}) was revoked: ask for a new one")
        if state == "expired":
            assert key.expires_at is not None
            raise ExpiredKeyError(
                f"key {key.id} ({key.name}) expired at {key.expires_at:%Y-%m-%d %H:%M:%S}Z: ask for a new one"
            )
        if key.last_used is None or now - key.last_used >= USE_KEPT_EVERY:
            self._keep_use(key, now)
        return key

    def close(self) -> None:
        with self._lock:
            self._connection.close()
            self._uses.close()

    def _refresh(self, at_once: bool = False) -> None:
        if not at_once and self._monotonic() < self._look_again_at:
            return
        with self._lock, key_file.told(self.path):
            if self._identity() != self._file:
                raise KeyStoreError(
                    f"{self.path} was removed or replaced while it was in use: put it back, and start the service "
                    "again; nobody is let in meanwhile"
                )
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
            if at_once or version != self._seen:
                # The version was asked for first: a change in between is noticed at the next look.
                self._keys = {key.id: (key, sha256) for key, sha256 in key_file.read(self._connection)}
                self._seen = version
            self._look_again_at = self._monotonic() + self._refresh_seconds

    def _keep_use(self, key: Key, now: datetime) -> None:
        with self._lock:
            held = self._keys.get(key.id)
            if held is None or held[0].last_used != key.last_used:
                return  # another thread was first
            # Here first, so that a file that is busy is not tried again with each request.
            self._keys[key.id] = (replace(key, last_used=now), held[1])
            with contextlib.suppress(sqlite3.Error):
                key_file.set_time(self._uses, key.id, "last_used", now)

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)  # noqa: PTH116 - once in a while on the way of a request
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _checked(galleries: Iterable[str]) -> tuple[str, ...]:
    from service.gallery import check_gallery_name  # brings faiss and scipy, and a key is rarely made

    names = tuple(sorted({check_gallery_name(name) for name in galleries}))
    if not names:
        raise BadKeyError("a key for no gallery opens nothing: name one, or leave galleries out for all of them")
    return names


def _unsecret(text: str) -> str:
    """What may be printed of what was given as an id, should it be a whole key."""
    return re.sub(KEY_PATTERN, r"vk_\1_...", text)[:80]
