"""`vantage gallery reembed`: another model for a gallery."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from models import Precision
from service.cli.index import (
    SOME_PICTURES_FAILED,
    Batch,
    Decoders,
    DeviceOption,
    Report,
    Threads,
    default_report,
)
from service.cli.interrupt import stop_on_signals
from service.cli.opening import DATA, MODEL_HELP, DataOption, GalleryArgument, open_engine, open_model
from service.cli.output import AsJson, print_json, say
from service.cli.progress import picture_progress


def reembed(
    gallery: GalleryArgument,
    model: Annotated[str, typer.Option(metavar="MODEL", help=MODEL_HELP)],
    batch: Batch = 64,
    decoders: Decoders = None,
    threads: Threads = None,
    device: DeviceOption = "auto",
    precision: Annotated[
        Precision | None, typer.Option(help="Which of the model's files.", show_default="that of model.onnx")
    ] = None,
    report: Report = None,
    data: DataOption = DATA,
    as_json: AsJson = False,
) -> None:
    """Embed the crops that a gallery keeps with another model, and put the result in its place.

    It grows beside the gallery, which can be searched until the two are exchanged at one instant. If a picture cannot
    be read they are not, and the exit code is 3. Run the same command again to go on after a stop.
    """
    from service.indexing import Embedder, FailureReport
    from service.indexing.reembed import Reembedding

    with open_engine(data) as engine:
        engine.info(gallery)  # before the model is loaded
        embedder = Embedder(open_model(model, precision), device=device, threads=threads, batch=batch)
        began = time.monotonic()
        with (
            FailureReport(report or default_report(gallery), always=report is not None) as failures,
            stop_on_signals() as stop,
        ):
            run = Reembedding(engine, gallery, embedder, decoders=decoders, stop=stop, failed=failures.add)
            with picture_progress(run.source) as progressed:
                tally = run(progressed)
        count = engine.count(gallery)
    if as_json:
        print_json(
            {
                "gallery": gallery,
                "replaced": run.replaced,
                "count": count,
                "embedded": tally.added + tally.replaced,
                "unchanged": tally.unchanged,
                "failed": tally.failed,
                "report": failures.path if failures.written else None,
                "seconds": round(time.monotonic() - began, 3),
                "stopped": stop(),
            }
        )
    elif run.replaced:
        typer.echo(f"gallery {gallery} now holds {count:,} items of {embedder.session.card.name}")
    if tally.failed:
        for failure in failures.first:
            say(f"  {failure.place}: {failure.problem}")
        say(
            f"{tally.failed:,} pictures could not be embedded ({failures.path} lists them), so {gallery} was left as "
            "it is: delete those items and run this again, or put what there is in its place: vantage gallery rename "
            f"{run.aside} {gallery} --replace"
        )
    if stop():
        say("stopped: run the same command again to go on")
        raise typer.Exit(stop.exit_code)
    if tally.failed:
        raise typer.Exit(SOME_PICTURES_FAILED)
