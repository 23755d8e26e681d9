"""The keys of a service: made, listed and revoked by a command, asked about by the service at the same time."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

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
from service.access.key_file import KeyFile
from service.access.rates import Rate

KEYS_FILE = Path("access") / "keys.sqlite"
"""Where a data directory keeps them."""
KEY_PATTERN = r"vk_([0-9a-f]{8})_[0-9a-f]{64}"
REFRESH_SECONDS = 0.5
BELIEVED_SECONDS = 5.0
"""Where a thread looks: how long what it saw last lets people in. A key that was revoked meanwhile opens so long."""
USE_KEPT_EVERY = timedelta(minutes=5)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class KeyShelf(Protocol):
    """Where keys are kept: a file, or tables of a database. What fails raises KeyStoreError."""

    def version(self) -> object:
        """What is another one after any process has made or revoked a key; asked for often, and cheap."""
        ...

    def read(self) -> list[tuple[Key, bytes]]:
        """All keys with the hashes of their secrets, in the order in which they were made."""
        ...

    def insert(self, key: Key, sha256: bytes) -> None: ...

    def revoke(self, id: str, at: datetime) -> bool:
        """Keeps the moment, unless it was revoked before; False if there is no such key."""
        ...

    def note_use(self, id: str, at: datetime) -> None:
        """When a key was last used: waits for nobody, and may be lost."""
        ...

    def close(self) -> None: ...


class KeyStore:
    """Keys that any number of processes may have open; any number of threads may call.

    shelf: where they are kept; a path is the file of a data directory.

    A key reads `vk_<id>_<secret>`. Its SHA-256 is stored, without salt or stretching: those protect what people choose
    and others guess, and a secret here is 256 random bits, which nobody guesses. Hashes are compared in constant time.

    What another process changed is noticed at the first call `refresh_seconds` after the last look. A look is one
    pragma and one stat, or one question to a database; the keys are read again only when there was a change. Where they
    cannot be read any more, nobody is let in. After `watch` a thread looks, and no caller waits for it.

    Revoked and expired keys stay listed: the audit log names keys by their ids, and a service must not open itself to
    everybody because the last key was taken back.
    """

    def __init__(
        self,
        shelf: Path | KeyShelf,
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        now: Callable[[], datetime] = _utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shelf: KeyShelf = KeyFile(shelf) if isinstance(shelf, Path) else shelf
        self._refresh_seconds, self._now, self._monotonic = refresh_seconds, now, monotonic
        self._asking = threading.Lock()  # of everything that asks the shelf
        self._holding = threading.Lock()  # of what is held here: never while the shelf is asked
        self._keys: dict[str, tuple[Key, bytes]] = {}
        self._seen: object = None
        self._looked_at = 0.0
        self._watching: threading.Thread | None = None
        self._stop = threading.Event()
        self._why_not: str | None = None
        try:
            self._look(anew=True)
        except BaseException:
            self._shelf.close()
            raise

    def watch(self) -> None:
        """From here on a thread looks. What it saw is believed for a few seconds; after that, nobody is let in."""
        self._watching = threading.Thread(target=self._watch, name="keys", daemon=True)
        self._watching.start()

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
        with self._asking:
            self._shelf.insert(key, _digest(secret))
        self._look(anew=True)
        return key, secret

    def take_over(self, other: KeyStore) -> tuple[Key, ...]:
        """Keeps the keys of another store here, too, as they are; those whose ids are here already are left."""
        with other._asking, self._asking:
            here = {key.id for key, _ in self._shelf.read()}
            taken = [pair for pair in other._shelf.read() if pair[0].id not in here]
            for key, sha256 in taken:
                self._shelf.insert(key, sha256)
        self._look(anew=True)
        return tuple(key for key, _ in taken)

    def list(self) -> tuple[Key, ...]:
        """All keys, in the order in which they were made."""
        self._look(anew=True)
        return tuple(key for key, _ in self._keys.values())

    def revoke(self, id: str) -> Key:
        """Takes a key back for good; one that was revoked before stays so, since then."""
        with self._asking:
            if not self._shelf.revoke(id, self._now()):
                raise NoSuchKeyError(
                    f"there is no key {_unsecret(id)!r}: `vantage key list` lists the ids, eight digits each"
                )
        self._look(anew=True)
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
        self._stop.set()
        if self._watching is not None:
            self._watching.join()
        with self._asking:
            self._shelf.close()

    def _refresh(self) -> None:
        age = self._monotonic() - self._looked_at
        if self._watching is None:
            if age >= self._refresh_seconds:
                self._look()
        elif age >= BELIEVED_SECONDS:
            raise KeyStoreError(self._why_not or f"the keys were last read {age:.0f} s ago: nobody is let in meanwhile")

    def _look(self, anew: bool = False) -> None:
        with self._asking:
            began = self._monotonic()
            # The version is asked for first: a change in between is noticed at the next look.
            version = self._shelf.version()
            if anew or version != self._seen:
                keys = {key.id: (key, sha256) for key, sha256 in self._shelf.read()}
                with self._holding:
                    self._keys = keys
                self._seen = version
            self._looked_at = began

    def _watch(self) -> None:
        while not self._stop.wait(self._refresh_seconds):
            try:
                self._look()
                self._why_not = None
            except KeyStoreError as error:
                self._why_not = str(error)

    def _keep_use(self, key: Key, now: datetime) -> None:
        with self._holding:
            held = self._keys.get(key.id)
            if held is None or held[0].last_used != key.last_used:
                return  # another thread was first
            # Here first, so that a shelf that is busy is not tried again with each request.
            self._keys[key.id] = (replace(key, last_used=now), held[1])
        self._shelf.note_use(key.id, now)


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
