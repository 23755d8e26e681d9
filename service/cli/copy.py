"""`vantage gallery copy`: a gallery of a data directory comes to a Milvus server, and what changes there later too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.cli.interrupt import stop_on_signals
from service.cli.opening import DATA, DataOption, GalleryArgument, require_data
from service.cli.output import AsJson, plain, print_json, say
from service.cli.progress import stage_progress

if TYPE_CHECKING:
    from service.gallery.milvus import Copied
    from service.settings import ServiceSettings


class _StoppedError(Exception):
    """A signal came; what is under way was finished."""


def copy(
    gallery: GalleryArgument,
    to: Annotated[
        Literal["milvus"],
        typer.Option(help="Where to: the Milvus server that the settings name, whatever they say of galleries."),
    ],
    snapshot: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A snapshot of it, by its name or path: so it is copied beside a running service.",
            show_default="one that is made, and removed afterwards",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Its name on Milvus.", show_default="the one it has")
    ] = None,
    index: Annotated[
        Literal["auto", "flat", "half", "signs", "hnsw", "ivf", "gpu"] | None,
        typer.Option(help="How the nearest are found there, for good.", show_default="the gallery's; auto reads all"),
    ] = None,
    data: DataOption = DATA,
    as_json: AsJson = False,
) -> None:
    """Copy a gallery to Milvus, or bring a copy there up to date: only what has changed is written.

    A copy is seen once it is whole, and is read back and compared each time. Run the same command again to go on after
    a stop. A copy that was written to since is refused.
    """
    from service.milvus import open_milvus

    settings = _settings(data)
    copied: Copied | None = None
    with closing(open_milvus(settings)) as there, stop_on_signals() as stop:
        there.check()
        with _snapshot(gallery, snapshot, data) as path, stage_progress() as shown:

            def progress(stage: str, done: int, of: int) -> None:
                if stop():
                    raise _StoppedError
                shown(stage, done, of)

            try:
                if not stop():
                    copied = there.copy_in(path, name=name, index=index, progress=progress)
            except _StoppedError:
                pass
    if as_json:
        facts = {"gallery": name or gallery} if copied is None else plain(copied)
        print_json(facts | {"stopped": copied is None})
    elif copied is not None:
        typer.echo(_told(copied))
    if copied is None:
        say("stopped: run the same command again to go on")
        raise typer.Exit(stop.exit_code)
    if not copied.up_to_date:
        if settings.database is None:
            say(
                f"VANTAGE_DATABASE is not set, so that only services of the directory {data} know of this copy: if "
                "replicas are to, set it as they have it, and copy once more"
            )
        say(f"next, for re-ranking to know neighbours: VANTAGE_GALLERY=milvus vantage gallery refresh {copied.gallery}")


def _settings(data: Path) -> ServiceSettings:
    from service.settings import ServiceSettings, SettingsError

    if ServiceSettings.load(data=data).milvus_uri is None:
        raise SettingsError(
            "nothing says where Milvus is: set VANTAGE_MILVUS_URI, as http://HOST:19530, and VANTAGE_DATABASE, "
            "VANTAGE_CROPS and VANTAGE_SNAPSHOTS as the replicas have them"
        )
    return ServiceSettings.load(data=data, gallery="milvus")


@contextmanager
def _snapshot(gallery: str, given: str | None, data: Path) -> Iterator[Path]:
    """The snapshot to copy: the one that is named, or one of now, for which nobody else may have the directory."""
    from service.gallery import BadItemError, LockedError
    from service.gallery.embedded import EmbeddedEngine, snapshots

    if given is not None:
        if not Path(given).exists():
            require_data(data)
        path = snapshots.find(data / "snapshots", Path(given) if Path(given).exists() else given)
        of = snapshots.read(path).gallery
        if of != gallery:
            raise BadItemError(
                f"snapshot {given} is of gallery {of!r}: copy that, and add --as {gallery} if it is to be called so"
            )
        yield path
        return
    require_data(data)
    try:
        engine = EmbeddedEngine.open(data, upkeep=False)
    except LockedError as error:
        raise LockedError(
            f"{str(error).partition(': ')[0]}: let that make a snapshot, with POST /v1/galleries/{gallery}/snapshots, "
            "and name it with --snapshot"
        ) from error
    with closing(engine):
        taken = engine.snapshot(gallery)
        try:
            yield taken.path
        finally:
            engine.delete_snapshot(taken.name)


def _told(copied: Copied) -> str:
    if copied.up_to_date:
        return f"gallery {copied.gallery} on Milvus is up to date: {copied.items:,} items, nothing is new"
    how = (
        f"copied gallery {copied.source} to {copied.gallery} on Milvus"
        if copied.first
        else f"gallery {copied.gallery} on Milvus is up to date again"
    )
    return (
        f"{how}: {copied.added:,} items written, {copied.removed:,} removed, {copied.unchanged:,} unchanged; "
        f"{copied.verified:,} items and {copied.pictures:,} pictures read back and right ({copied.seconds:.1f} s)"
    )
