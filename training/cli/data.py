"""`vantage-train data`: look at datasets, and write synthetic ones."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from training.data.errors import DataError

app = typer.Typer(help="Look at datasets, and write synthetic ones.", no_args_is_help=True)

SPEC_HELP = (
    "The dataset: market1501:ROOT, dukemtmc:ROOT, msmt17:ROOT, folder:ROOT, csv:FILE or synthetic:people=60,cameras=6; "
    "options follow after commas, as in market1501:ROOT,viewpoints=FILE."
)
"""For every command that takes a dataset."""

SpecArgument = Annotated[str, typer.Argument(metavar="SPEC", help=SPEC_HELP)]
Workers = Annotated[int | None, typer.Option(min=1, help="How many work at once.", show_default="one a core")]


@app.command()
def check(
    spec: SpecArgument,
    workers: Workers = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs, with every name in full.")] = False,
) -> None:
    """Read every picture of a dataset once and say what is there, what is broken and what can be evaluated.

    What is found is reported, not judged: the exit code is 0 whenever the dataset could be looked at.
    """
    from training.data.check import check_dataset
    from training.data.check_text import remarks, render_report
    from training.data.spec import load_dataset

    report = check_dataset(load_dataset(spec), workers)
    if as_json:
        typer.echo(json.dumps({"spec": spec, **asdict(report), "remarks": remarks(report)}, indent=2))
    else:
        from rich.console import Console

        # Names of files and people are printed as they are: [1] in one is no markup.
        Console(markup=False, highlight=False, emoji=False).print(render_report(report))


@app.command()
def preview(
    spec: SpecArgument,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The PNG file to write.")],
    people: Annotated[int, typer.Option(min=1, help="How many people to show, a row each.")] = 12,
) -> None:
    """Write a contact sheet: a row a person, with camera, viewpoint and split below every picture."""
    from models.durable import write_durably
    from training.data.contact_sheet import encode_png
    from training.data.preview import preview as draw
    from training.data.spec import load_dataset

    if out.suffix.lower() != ".png":
        raise DataError(f"a sheet is a PNG file, and {out} does not end in .png")
    sheet = encode_png(draw(load_dataset(spec), people))
    try:
        write_durably(out, sheet)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}") from error
    typer.echo(f"wrote {out}")


@app.command()
def write(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC", help="What to render: synthetic:people=60,cameras=6,seed=0,size=128x64.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make; it must be new or empty.")],
    workers: Workers = None,
) -> None:
    """Render synthetic people into a folder of Market-1501's form, with their viewpoints in viewpoints.csv."""
    import os

    from training.data.spec import parse_spec
    from training.data.synthetic import VIEWPOINTS_FILE, write_folder
    from training.data.synthetic_people import parse_synthetic

    name, place, options = parse_spec(spec)
    if name != "synthetic" or place:
        raise DataError(f"only synthetic people can be written, as in synthetic:people=60,cameras=6; not {spec!r}")
    try:
        crops = write_folder(parse_synthetic(options), out, workers or os.cpu_count() or 1)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error}") from error
    typer.echo(f"wrote {len(crops):,} pictures; use them as market1501:{out},viewpoints={out / VIEWPOINTS_FILE}")
