"""`vantage gallery delete`: items out of a gallery, with a receipt."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.conditions import Cameras, Persons, filter_of
from service.cli.opening import DATA, DataOption, GalleryArgument, open_engine
from service.cli.output import AsJson, console, facts_table, print_json, when

_SHOWN = 5


def delete(
    gallery: GalleryArgument,
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="Delete this item; may be repeated.")
    ] = None,
    camera: Cameras = None,
    person: Persons = None,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="TIME", help="Captured before this time, such as 2024-05-01T12:30:00Z."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    data: DataOption = DATA,
    as_json: AsJson = False,
) -> None:
    """Delete items by id, or those of which all the given conditions hold, and print a receipt.

    What is deleted is never found again. Traces may stay on disk until vantage gallery compact; the receipt says where.
    """
    by_condition = bool(camera or person or before)
    if bool(ids) == by_condition:
        raise typer.BadParameter("give either ids (--id), or conditions (--camera, --person, --before)")
    filter = filter_of(cameras=camera, persons=person, time_to=before) if by_condition else None
    with open_engine(data) as engine:
        receipt = engine.delete(gallery, ids=ids or None, filter=filter, dry_run=dry_run)
    if as_json:
        print_json(receipt)
        return
    named = ", ".join(receipt.ids[:_SHOWN]) + (", ..." if len(receipt.ids) > _SHOWN else "")
    facts: dict[str, object] = {
        "gallery": gallery,
        "would delete" if dry_run else "deleted": f"{len(receipt.ids):,} items" + (f" ({named})" if named else ""),
    }
    if receipt.missing:
        facts["not there"] = ", ".join(receipt.missing)
    if not dry_run:
        facts["at"] = when(receipt.at)
        facts["removed from"] = ", ".join(f"{place} {count:,}" for place, count in receipt.removed.items()) or "nothing"
    if receipt.pending:
        facts["until compact"] = "traces may be left in: " + ", ".join(receipt.pending)
    console().print(facts_table(facts))
