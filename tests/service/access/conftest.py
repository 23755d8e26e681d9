"""Keys and audit log as a service has them: in files, in a database of one machine, and in one that replicas share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.access import Home, open_home

HOMES = ["files", "sqlite", "postgresql"]


@pytest.fixture(params=HOMES)
def home_url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """The URL of an empty database; None for files."""
    if request.param == "files":
        return None
    pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.sqlite'}"
    pytest.importorskip("psycopg", reason="the extra sql is not installed")
    return request.getfixturevalue("postgresql").database()


@pytest.fixture
def open_a_home(home_url: str | None, tmp_path: Path) -> Iterator[Callable[[], Home]]:
    """Opens the same one each time, as each process does."""
    opened: list[Home] = []

    def open_() -> Home:
        opened.append(open_home(tmp_path, home_url))
        return opened[-1]

    yield open_
    for home in opened:
        home.close()
