"""`vantage audit`: whether the record of searches and writes is whole, and what it tells."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.output import AsJson, console, plain, print_json, table, when
from service.cli.settings import SetData, open_home

if TYPE_CHECKING:
    from service.access import Entry

app = typer.Typer(help="Check and read the record of searches and writes.", no_args_is_help=True)

_UNSOUND = 4
"""The exit code of `verify` when something is wrong."""
_IDS = 5
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@app.command()
def verify(
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="N:HASH", help="The head that an earlier check printed, kept elsewhere."),
    ] = None,
    data: SetData = None,
    as_json: AsJson = False,
) -> None:
    """Check that no line was changed, removed, put in or moved; exit code 4 if one was.

    The head that is printed is a proof of all lines up to it: keep it where whoever may write to the data directory may
    not. Without it, a log that was wholly written anew, or cut off at its end with the file HEAD written to match,
    cannot be told from a sound one. Lines that came after it are as good as that file only.
    """
    from service.access import Head

    with open_home(data) as home:
        report = home.trail().verify(None if head is None else Head.parse(head))
    if as_json:
        print_json(plain(report) | {"head": str(report.head), "sound": report.sound})
    else:
        typer.echo(f"audit log: {report.lines:,} lines, from line {report.first:,} on")
        if report.torn:
            typer.echo(f"{report.torn} pieces of lines are of processes that were stopped; a record tells of each")
        if report.unfinished:
            typer.echo(f"{report.unfinished} bytes at the end are of a line that is not finished")
        for finding in report.findings:
            typer.echo(f"{finding.place}: {finding.problem}")
        typer.echo(f"head {report.head}")
        if report.sound:
            typer.echo("All is sound.")
    if not report.sound:
        raise typer.Exit(_UNSOUND)


@app.command()
def show(
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="From then on: 30m, 12h or 7d ago, or such as 2024-05-01T12:30:00Z."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Before then.")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="ID", help="Only what was done with this key.")] = None,
    gallery: Annotated[
        str | None, typer.Option("--gallery", "-g", metavar="NAME", help="Only in this gallery.")
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", metavar="NAME", help="Only this, such as search or delete.")
    ] = None,
    data: SetData = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """Print what was recorded, oldest first."""
    printed = table("at", "who", "from", "action", "gallery", "what", "ids", "outcome", "purpose")
    with open_home(data) as home:
        entries = home.trail().entries(
            since=None if since is None else _time(since, "--since"),
            until=None if until is None else _time(until, "--until"),
            key=key,
            gallery=gallery,
            action=action,
        )
        if as_json:
            for entry in entries:
                typer.echo(json.dumps(plain(entry), ensure_ascii=False))
            return
        for entry in entries:
            printed.add_row(*_row(entry))
    if printed.row_count:
        console().print(printed)
    else:
        typer.echo("Nothing of that kind was recorded.")


def _row(entry: Entry) -> tuple[str, ...]:
    ids = ", ".join(entry.ids[:_IDS]) + (f", ... ({len(entry.ids):,})" if len(entry.ids) > _IDS else "")
    return (
        when(entry.at),
        f"{entry.key_name} ({entry.key_id})" if entry.key_id else "",
        entry.client or "",
        entry.action,
        entry.gallery or "",
        json.dumps(entry.parameters, ensure_ascii=False) if entry.parameters else "",
        ids,
        entry.outcome,
        entry.purpose or "",
    )


def _time(text: str, option: str) -> datetime:
    match = re.fullmatch(r"(\d{1,6})([mhd])", text, re.ASCII)
    try:
        if match is not None:
            return datetime.now(UTC) - int(match[1]) * _UNITS[match[2]]
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is no time: write 12h, 7d, or such as 2024-05-01T12:30:00Z", param_hint=option
        ) from error
