"""`vantage gallery snapshot`, `snapshots`, `restore` and `drop-snapshot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.opening import DATA, DataOption, GalleryArgument, open_engine
from service.cli.output import AsJson, Yes, console, print_json, require_consent, size, table, when


def snapshot(gallery: GalleryArgument, data: DataOption = DATA, as_json: AsJson = False) -> None:
    """Copy a gallery as it is now, for vantage gallery restore."""
    with open_engine(data) as engine:
        made = engine.snapshot(gallery)
    if as_json:
        print_json(made)
    else:
        typer.echo(f"made snapshot {made.name}: {made.count:,} items, {size(made.bytes)}, in {made.path}")


def snapshots(
    gallery: Annotated[
        str | None, typer.Argument(metavar="GALLERY", help="Only this gallery's.", show_default="all")
    ] = None,
    data: DataOption = DATA,
    as_json: AsJson = False,
) -> None:
    """List snapshots."""
    with open_engine(data) as engine:
        found = engine.snapshots(gallery)
    if as_json:
        print_json(found)
    elif not found:
        typer.echo(f"There is no snapshot{f' of {gallery}' if gallery else ''} in {data}.")
    else:
        printed = table("snapshot", "gallery", "made", "items", "change", "size", right=("items", "change", "size"))
        for each in found:
            printed.add_row(
                each.name, each.gallery, when(each.at), f"{each.count:,}", f"{each.change:,}", size(each.bytes)
            )
        console().print(printed)


def restore(
    snapshot: Annotated[
        str, typer.Argument(metavar="SNAPSHOT", help="Its name, or the path of one, also from another data directory.")
    ],
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="The gallery's name.", show_default="the one it had")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of the gallery of that name.")
    ] = False,
    data: DataOption = DATA,
    as_json: AsJson = False,
) -> None:
    """Bring a gallery back from a snapshot."""
    with open_engine(data, make=True) as engine:
        path = Path(snapshot)
        restored = engine.restore(path if path.exists() else snapshot, name=name, replace=replace)
    if as_json:
        print_json(restored)
    else:
        typer.echo(f"restored gallery {restored.name}: {restored.count:,} items")


def drop_snapshot(
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT", help="Its name.")],
    yes: Yes = False,
    data: DataOption = DATA,
    as_json: AsJson = False,
) -> None:
    """Remove a snapshot."""
    with open_engine(data) as engine:
        require_consent(f"Remove snapshot {snapshot}?", yes)
        engine.delete_snapshot(snapshot)
    if as_json:
        print_json({"snapshot": snapshot})
    else:
        typer.echo(f"removed snapshot {snapshot}")
