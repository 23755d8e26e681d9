"""A key as a row of a table, in a file or in a database: texts and numbers alone, times as ISO 8601."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from service.access.errors import KeyStoreError
from service.access.key import Key, check_scopes
from service.access.rates import Rate

COLUMNS = (
    "id",
    "sha256",
    "name",
    "scopes",
    "galleries",
    "purpose",
    "per_second",
    "burst",
    "created_at",
    "expires_at",
    "revoked_at",
    "last_used",
)


def row_of(key: Key, sha256: bytes) -> tuple[Any, ...]:
    """sha256: of its secret."""
    rate = (None, None) if key.rate is None else (key.rate.per_second, key.rate.burst)
    times = (_text(at) for at in (key.created_at, key.expires_at, key.revoked_at, key.last_used))
    galleries = None if key.galleries is None else ",".join(key.galleries)
    return key.id, sha256, key.name, ",".join(key.scopes), galleries, key.purpose, *rate, *times


def key_of(row: Sequence[Any]) -> tuple[Key, bytes]:
    """KeyStoreError for a row that somebody wrote by hand."""
    id, sha256, name, scopes, galleries, purpose, per_second, burst, *times = row
    try:
        created, expires, revoked, used = (None if text is None else datetime.fromisoformat(text) for text in times)
        assert created is not None
        key = Key(
            id=id,
            name=name,
            scopes=check_scopes(scopes.split(",")),
            galleries=None if galleries is None else tuple(galleries.split(",")),
            purpose=purpose,
            rate=None if per_second is None else Rate(per_second, burst),
            created_at=created,
            expires_at=expires,
            revoked_at=revoked,
            last_used=used,
        )
    except ValueError as error:
        raise KeyStoreError(f"the kept keys are damaged ({error}): put them back from a backup") from error
    return key, bytes(sha256)


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
