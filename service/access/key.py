"""A key: who somebody is to the service, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from service.access.errors import BadKeyError, ForbiddenError
from service.access.rates import Rate

Scope = Literal["search", "ingest", "delete", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
State = Literal["live", "expired", "revoked"]
_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What is known of a key; its secret is not. Times are in UTC.

    id          eight hexadecimal digits, no secret: logs name keys by it.
    name        whose it is, for people; several keys may bear one name while one replaces another.
    scopes      what it may be used for; `admin` stands for all four, because who may drop a gallery and make it anew
                may do everything in it anyway.
    galleries   in which galleries; None in all, and only such a key may do what concerns the service as a whole.
    purpose     what searches with it are for, in the audit log, where a request does not say it itself.
    rate        how often it may search; None: as the service's settings say.
    last_used   to within a few minutes.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...]
    galleries: tuple[str, ...] | None
    purpose: str | None
    rate: Rate | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used: datetime | None

    def holds(self, scope: Scope) -> bool:
        """Whether it has this scope, in whichever galleries."""
        return scope in self.scopes or "admin" in self.scopes

    def allows(self, scope: Scope, gallery: str | None) -> bool:
        """Whether it may do this in that gallery; None means what concerns the service as a whole."""
        return self.holds(scope) and (self.galleries is None or gallery in self.galleries)

    def require(self, scope: Scope, gallery: str | None) -> None:
        """ForbiddenError, with a sentence, unless it allows that."""
        if self.allows(scope, gallery):
            return
        if not self.holds(scope):
            raise ForbiddenError(
                f"key {self.id} ({self.name}) is for {', '.join(self.scopes)}, not for {scope}: use a key made with "
                f"--scope {scope}"
            )
        where = "the service as a whole" if gallery is None else f"gallery {gallery!r}"
        raise ForbiddenError(
            f"key {self.id} ({self.name}) is for {', '.join(self.galleries or ())}, not for {where}: use a key made "
            + ("without --gallery" if gallery is None else f"with --gallery {gallery}")
        )

    def state(self, now: datetime) -> State:
        """Whether it opens anything; one that is both is called revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "live"


def check_scopes(scopes: object) -> tuple[Scope, ...]:
    """Scopes in their usual order, each once."""
    given = list(scopes) if isinstance(scopes, list | tuple | set | frozenset) else [scopes]
    unknown = [scope for scope in given if scope not in SCOPES]
    if unknown or not given:
        problem = f"{unknown[0]!r} is no scope" if unknown else "a key without a scope opens nothing"
        raise BadKeyError(f"{problem}: give some of {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in given)


def check_text(what: str, text: str) -> str:
    """A name or a purpose, if it fits on a line."""
    if not 0 < len(text) <= _TEXT or not text.isprintable() or not text.strip():
        raise BadKeyError(f"{what} is {text[:_TEXT]!r}: give one line of 1 to {_TEXT} printable characters")
    return text
