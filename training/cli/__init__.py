"""The learner's command: `vantage-train`, also as `python -m training`.

This module and those of the commands import nothing heavy at the top (no torch, no onnxruntime): `vantage-train --help`
must answer at once. A command is a function in a file of its own that imports inside it what is heavy; it is registered
below by one line: `app.command()(fit.fit)`, or `app.add_typer(data.app, name="data")` for a group.
"""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from models.errors import ModelError
from training.cli import ablate, calibrate, data, evaluate, export, fit, report
from training.errors import TrainingError

app = typer.Typer(
    name="vantage-train",
    help="Person re-identification: from a dataset to a proven ONNX bundle.",
    epilog="Serving the bundle is the work of another command: vantage.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # otherwise line breaks of the source stand in the help
    pretty_exceptions_show_locals=False,  # they hold pictures of people
)
app.add_typer(data.app, name="data")
app.command()(fit.fit)
app.command()(ablate.ablate)
app.command()(export.export)
app.command()(evaluate.evaluate)
app.command()(calibrate.calibrate)
app.command()(report.report)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vantage-train {_installed_version()}")
        raise typer.Exit


def _installed_version() -> str:
    try:
        return version("vantage-reid")
    except PackageNotFoundError:
        return "of a checkout that is not installed"


@app.callback()
def vantage_train(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave."),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; `arguments` default to those of the process. What a user can mend is a sentence and exit 1."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="vantage-train")
    except ValueError as error:
        if not _can_be_mended(error):
            raise
        typer.echo(f"vantage-train: {error}", err=True)
        raise SystemExit(1) from error


def _can_be_mended(error: ValueError) -> bool:
    from retrieval import RetrievalError  # brings faiss, so not at the top

    return isinstance(error, TrainingError | ModelError | RetrievalError)
