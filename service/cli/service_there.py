"""A service that runs somewhere, as the commands with --server ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from service.client import Client

KeyOption = Annotated[
    str | None,
    typer.Option(
        metavar="KEY", envvar="VANTAGE_KEY", show_envvar=True, help="An API key of that service, for --server."
    ),
]
_TIMEOUT = 300.0  # seconds; a batch of pictures may take a while on a busy service


def open_service(server: str, key: str | None, *, patience: float = 30.0) -> Client:
    """A client of the service at that address; to be closed."""
    from service.client import Client

    return Client(server, key=key, patience=patience, timeout=_TIMEOUT)
