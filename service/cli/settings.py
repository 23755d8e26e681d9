"""`vantage settings`: what a service started here would be told, and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.output import AsJson, console, print_json, table

if TYPE_CHECKING:
    from service.access import Home

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        envvar="VANTAGE_CONFIG",
        help="A file of settings, in TOML.",
        show_default="vantage.toml, if there is one",
    ),
]
SetData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        envvar="VANTAGE_DATA",
        help="The data directory.",
        show_default="as in vantage.toml, else vantage-data",
    ),
]

app = typer.Typer(invoke_without_command=True, subcommand_metavar="")


@app.callback()
def settings(config: ConfigOption = None, as_json: AsJson = False) -> None:
    """Print the settings in force, and where each came from.

    A service takes them from its command line, else from VANTAGE_ and the name in capitals in its environment, else
    from a TOML file with lines such as port = 8000. An unknown name is an error.
    """
    from service.settings import ServiceSettings, effective

    known = effective(ServiceSettings.load(config))
    if as_json:
        print_json({each.name: {"value": each.value, "source": each.source} for each in known})
        return
    printed = table("setting", "value", "from", "what it is")
    for each in known:
        printed.add_row(each.name, _shown(each.value), each.source, each.description)
    console().print(printed)


@contextmanager
def open_home(data: Path | None, *, there: bool = False) -> Iterator[Home]:
    """Where a service started here would have its keys and its audit log: a database, or the data directory.

    data: another data directory. there: it must be there already, and is not made.
    """
    from service.access import AccessError
    from service.access import open_home as open_
    from service.settings import ServiceSettings

    settings = ServiceSettings.load(data=data)
    url = settings.database_url
    if url is None and there and not settings.data.is_dir():
        raise AccessError(f"there is no data directory {settings.data}: name it with --data or VANTAGE_DATA")
    home = open_(settings.data, url)
    try:
        yield home
    finally:
        home.close()


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
