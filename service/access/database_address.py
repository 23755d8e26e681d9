"""The URL of a database: which kinds there are, and how one is named where people read it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from service.access.errors import DatabaseError

_KINDS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_KINDS |= {kind: kind for kind in _KINDS.values()}
_PASSWORD = re.compile(r"(://[^/?#@:]*:).*(@)|([?&]password=)[^&#]*")  # also of one with a / that should have been %2F


def check_address(url: str) -> str:
    """The URL as the drivers want it; DatabaseError if it is none of a database that can be used."""
    scheme, _, rest = url.partition("://")
    if scheme not in _KINDS:
        raise DatabaseError(
            f"the database is {shown(url)!r}: give sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/NAME"
        )
    if scheme == "sqlite" and (not rest.startswith("/") or len(rest) < 2 or "?" in rest or ":memory:" in rest):
        raise DatabaseError(
            f"the database is {shown(url)!r}: name a file, as sqlite:///FILE from the working directory or "
            "sqlite:////FILE from the root, and nothing behind it"
        )
    try:
        port = urlsplit(url).port  # noqa: F841 - it is checked as it is read
    except ValueError:
        raise DatabaseError(
            f"the database is {shown(url)!r}, whose port is no number: write @ : / of a password as %40 %3A %2F"
        ) from None
    return f"{_KINDS[scheme]}://{rest}"


def shown(url: str) -> str:
    """The URL without its password."""
    return _PASSWORD.sub(lambda found: f"{found[1]}***{found[2]}" if found[1] else f"{found[3]}***", url)
