"""Which items are meant: the options from which a filter is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from service.gallery import Filter, Viewpoint

Cameras = Annotated[
    list[str] | None, typer.Option("--camera", metavar="NAME", help="Only what this camera saw; may be repeated.")
]
NotCameras = Annotated[
    list[str] | None,
    typer.Option("--exclude-camera", metavar="NAME", help="Not what this camera saw; may be repeated."),
]
Persons = Annotated[
    list[str] | None, typer.Option("--person", metavar="NAME", help="Only items of this person; may be repeated.")
]
Viewpoints = Annotated[
    list[str] | None,
    typer.Option("--viewpoint", metavar="front|side|back", help="Only people seen from this side; may be repeated."),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="Captured at this time or later, such as 2024-05-01T12:30:00Z."),
]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Captured before this time.")]


def filter_of(
    cameras: list[str] | None = None,
    not_cameras: list[str] | None = None,
    persons: list[str] | None = None,
    viewpoints: list[str] | None = None,
    time_from: str | None = None,
    time_to: str | None = None,
) -> Filter:
    """All of these must hold; an option that was not given holds for every item."""
    from service.gallery import Filter
    from service.indexing import parse_time

    return Filter(
        cameras=tuple(cameras) if cameras else None,
        not_cameras=tuple(not_cameras or ()),
        persons=tuple(persons) if persons else None,
        viewpoints=cast("tuple[Viewpoint, ...]", tuple(viewpoints)) if viewpoints else None,  # it checks them
        time_from=None if time_from is None else parse_time(time_from),
        time_to=None if time_to is None else parse_time(time_to),
    )
