"""`vantage key`: make, list and revoke the keys that a service lets people in by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from service.cli.output import AsJson, console, plain, print_json, say, table, when
from service.cli.settings import SetData, open_home

if TYPE_CHECKING:
    from service.access import Key, KeyStore, Scope

app = typer.Typer(help="Make, list and revoke the keys of a service.", no_args_is_help=True)

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Whose it is; the audit log names it.")],
    scope: Annotated[
        list[str],
        typer.Option("--scope", metavar="SCOPE,...", help="What for: search, ingest, delete or admin, which is all."),
    ] = ["search"],  # noqa: B006 - typer copies it
    gallery: Annotated[
        list[str] | None,
        typer.Option(
            "--gallery", "-g", metavar="NAME", help="Only in this gallery; may be repeated.", show_default="all"
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="90d, 12h, or a date in UTC.", show_default="never"),
    ] = None,
    purpose: Annotated[
        str | None,
        typer.Option("--purpose", metavar="TEXT", help="What its searches are for; the audit log tells it."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="N", help="Searches a second.", show_default="as the service's settings say"),
    ] = None,
    burst: Annotated[
        int | None,
        typer.Option("--burst", metavar="N", help="Searches that may come at once.", show_default="ten seconds' worth"),
    ] = None,
    data: SetData = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and print it: this once, because only its hash is kept.

    A service that is running takes it within a second.
    """
    from service.access import Rate

    if burst is not None and rate is None:
        raise typer.BadParameter("give --rate too: a burst alone limits nothing", param_hint="--burst")
    limit = None if rate is None else Rate(rate, burst or max(1, round(10 * rate)))
    scopes = cast("tuple[Scope, ...]", tuple(part.strip() for text in scope for part in text.split(",")))  # it checks
    expires_at = None if expires is None else _time_to_come(expires)
    with _keys(data, make=True) as store:
        key, secret = store.create(
            scopes, name=name, galleries=gallery or None, expires_at=expires_at, purpose=purpose, rate=limit
        )
    if as_json:
        print_json({"key": key, "secret": secret})
    else:
        typer.echo(secret)
    until = f" until {when(key.expires_at)}" if key.expires_at else ""
    say(
        f"This is key {key.id} of {key.name}: {', '.join(key.scopes)} in {_galleries(key)}{until}. It is shown only "
        "now; send it in the header Authorization: Bearer KEY"
    )


@app.command("list")
def list_(data: SetData = None, as_json: AsJson = False) -> None:
    """List the keys, without what is secret in them."""
    with _keys(data) as store:
        keys = store.list()
    now = datetime.now(UTC)
    if as_json:
        print_json([plain(key) | {"state": key.state(now)} for key in keys])
        return
    if not keys:
        typer.echo("There is no key: the service can be reached from this machine only. vantage key create makes one.")
        return
    printed = table("id", "name", "state", "scopes", "galleries", "purpose", "a second", "made", "expires", "last used")
    for key in keys:
        printed.add_row(
            key.id,
            key.name,
            key.state(now),
            ", ".join(key.scopes),
            _galleries(key),
            key.purpose or "",
            f"{key.rate.per_second:g}, {key.rate.burst} at once" if key.rate else "",
            when(key.created_at),
            when(key.expires_at) or "never",
            when(key.last_used) or "never",
        )
    console().print(printed)


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="Its eight digits.")],
    data: SetData = None,
    as_json: AsJson = False,
) -> None:
    """Take a key back for good. A service that is running refuses it within a second."""
    with _keys(data) as store:
        key = store.revoke(id)
    if as_json:
        print_json(key)
    else:
        typer.echo(f"key {key.id} of {key.name} is revoked since {when(key.revoked_at)}")


@app.command()
def adopt(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The data directory whose keys are taken over.")],
    data: SetData = None,
    as_json: AsJson = False,
) -> None:
    """Take over the keys of a data directory, with their secrets, states and ids: nobody needs a new one.

    For moving a service's keys into a database, VANTAGE_DATABASE. Keys that are there already are left as they are, so
    it can be done again. The directory is not changed.
    """
    from contextlib import closing

    from service.access import KEYS_FILE, KeyStore, KeyStoreError

    if not (directory / KEYS_FILE).is_file():
        raise KeyStoreError(f"there are no keys in {directory}: name the data directory of a service that has some")
    with _keys(data, make=True) as store, closing(KeyStore(directory / KEYS_FILE)) as theirs:
        taken = store.take_over(theirs)
    if as_json:
        print_json(taken)
    else:
        typer.echo(f"{len(taken)} keys were taken over from {directory}")


@contextmanager
def _keys(data: Path | None, *, make: bool = False) -> Iterator[KeyStore]:
    with open_home(data, there=not make) as home:
        store = home.keys()
        try:
            yield store
        finally:
            store.close()


def _galleries(key: Key) -> str:
    return "all galleries" if key.galleries is None else ", ".join(key.galleries)


def _time_to_come(text: str) -> datetime:
    match = re.fullmatch(r"(\d{1,6})([hd])", text, re.ASCII)
    try:
        if match is not None:
            return datetime.now(UTC) + int(match[1]) * _UNITS[match[2]]
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is no time: write 90d, 12h, or a date such as 2027-01-31", param_hint="--expires"
        ) from error
