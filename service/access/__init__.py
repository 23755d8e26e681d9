"""Who may do what: keys and their scopes, how often, from where; and a log of who did what that shows tampering."""

from service.access.audit import AUDIT_FOLDER, AuditLog
from service.access.audit_record import Entry, Event, Head
from service.access.audit_trail import AuditTrail
from service.access.audit_walk import AuditFinding, AuditReport
from service.access.binding import is_loopback, may_bind
from service.access.errors import (
    AccessError,
    AuditError,
    AuditLockedError,
    BadKeyError,
    DatabaseAwayError,
    DatabaseError,
    ExpiredKeyError,
    ForbiddenError,
    KeyStoreError,
    MissingKeyError,
    NoSuchKeyError,
    RevokedKeyError,
    UnauthenticatedError,
    UnknownKeyError,
    UnrecordedError,
)
from service.access.homes import AuditReader, AuditWriter, Home, open_home
from service.access.key import SCOPES, Key, Scope, State
from service.access.keys import KEYS_FILE, KeyStore
from service.access.rates import Rate, RateLimiter

__all__ = [
    "AUDIT_FOLDER",
    "KEYS_FILE",
    "SCOPES",
    "AccessError",
    "AuditError",
    "AuditFinding",
    "AuditLockedError",
    "AuditLog",
    "AuditReader",
    "AuditReport",
    "AuditTrail",
    "AuditWriter",
    "BadKeyError",
    "DatabaseAwayError",
    "DatabaseError",
    "Entry",
    "Event",
    "ExpiredKeyError",
    "ForbiddenError",
    "Head",
    "Home",
    "Key",
    "KeyStore",
    "KeyStoreError",
    "MissingKeyError",
    "NoSuchKeyError",
    "Rate",
    "RateLimiter",
    "RevokedKeyError",
    "Scope",
    "State",
    "UnauthenticatedError",
    "UnknownKeyError",
    "UnrecordedError",
    "is_loopback",
    "may_bind",
    "open_home",
]
