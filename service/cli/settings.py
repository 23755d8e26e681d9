"""`vantage settings`: what a service started here would be told, and by whom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.output import AsJson, console, print_json, table

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


def data_directory(given: Path | None) -> Path:
    """The data directory that a service started here would use, unless another was given."""
    from service.settings import ServiceSettings

    return ServiceSettings.load(data=given).data


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
