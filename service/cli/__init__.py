"""The operator's command: `vantage`, also as `python -m service`.

This module and those of the commands import nothing heavy at the top: `vantage --help` must answer at once.
"""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from models.errors import ModelError
from service.cli import audit, gallery, index, key, model, search, serve, settings

app = typer.Typer(
    name="vantage",
    help="Person re-identification: which of the people we have seen is this?",
    epilog="Training and exporting models is the work of another command: vantage-train.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # otherwise line breaks of the source stand in the help
    pretty_exceptions_show_locals=False,  # they hold pictures and embeddings of people
)
app.command()(serve.serve)
app.command()(index.index)
app.command()(search.search)
app.add_typer(gallery.app, name="gallery")
app.add_typer(model.app, name="model")
app.add_typer(key.app, name="key")
app.add_typer(audit.app, name="audit")
app.add_typer(settings.app, name="settings")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vantage {_installed_version()}")
        raise typer.Exit


def _installed_version() -> str:
    try:
        return version("vantage-reid")
    except PackageNotFoundError:
        return "of a checkout that is not installed"


@app.callback()
def vantage(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave."),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; `arguments` default to those of the process. What a user can mend is a sentence and exit 1."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="vantage")
    except ValueError as error:
        if not _can_be_mended(error):
            raise
        typer.echo(f"vantage: {error}", err=True)
        raise SystemExit(1) from error


def _can_be_mended(error: ValueError) -> bool:
    # These bring faiss and scipy, so not at the top.
    from retrieval import RetrievalError
    from service.access import AccessError
    from service.client import BadCallError, ServiceError
    from service.gallery import GalleryError
    from service.images import BadImageError
    from service.indexing import IndexingError
    from service.on_ray import ClusterError
    from service.settings import SettingsError

    ours = (ModelError, RetrievalError, GalleryError, BadImageError, IndexingError, AccessError, SettingsError)
    return isinstance(error, (*ours, ClusterError, ServiceError, BadCallError))
