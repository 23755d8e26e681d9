"""Where a page of a list begins. A cursor is the last key of the page before."""

from __future__ import annotations

from service.gallery.errors import BadItemError


def key_before(cursor: str | None) -> int:
    """The key after which the page starts; 0, before all of them, for the first."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise BadItemError(f"cursor is {cursor!r}: use the one that the page before gave")
    return int(cursor)
