"""What can go wrong with keys and with the audit log, as sentences that name the value and the remedy."""


class AccessError(ValueError):
    """Any of these; a `ValueError`, so that code which knows nothing of access still meets a familiar kind."""


class UnauthenticatedError(AccessError):
    """Nobody knows who asks: over HTTP 401. No sentence quotes what was sent, which may hold a secret."""


class MissingKeyError(UnauthenticatedError):
    """No key was sent, and one is wanted."""


class UnknownKeyError(UnauthenticatedError):
    """No key of ours: another id, another secret, or nothing that looks like a key. Which of these is not told."""


class RevokedKeyError(UnauthenticatedError):
    """A key that was taken back."""


class ExpiredKeyError(UnauthenticatedError):
    """A key whose time is over."""


class ForbiddenError(AccessError):
    """It is known who asks, and that is not theirs to do: over HTTP 403."""


class BadKeyError(AccessError):
    """A key that cannot be made as described."""


class NoSuchKeyError(AccessError):
    """No key of that id."""


class KeyStoreError(AccessError):
    """The keys cannot be read or written: nobody is let in."""


class AuditError(AccessError):
    """The audit log cannot be written or read. What should have been recorded must not be done."""


class UnrecordedError(AuditError):
    """Something was done, and could not be recorded."""


class AuditLockedError(AuditError):
    """Another process writes this audit log."""


class DatabaseError(AccessError):
    """The database that keys and the audit log are to be kept in cannot be used."""


class DatabaseAwayError(DatabaseError):
    """It cannot be reached now: asked again, it may answer."""
