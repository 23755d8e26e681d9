"""`vantage-train report`: what a bundle finds and where it fails, as one page for people."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from models import Device
from training.cli.bundles import (
    BundleArgument,
    DataOption,
    IgnoreCameras,
    Workers,
    command_line,
    console,
    embed_trial,
    open_session,
    require_folder_of,
    write_file,
)
from training.errors import TrainingError


def report(
    bundle: BundleArgument,
    data: DataOption,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page to write, as in report.html.")],
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="The folder of the run that trained it: adds its curves.")
    ] = None,
    rerank: Annotated[
        Literal["off", "exact", "online", "local"],
        typer.Option(help="A re-ranking to show beside the plain ranking, as in vantage-train evaluate."),
    ] = "off",
    ignore_cameras: IgnoreCameras = False,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = "auto",
    workers: Workers = None,
) -> None:
    """Write a page that needs nothing but a browser: scores, ranked lists, what the model looks at, and a map.

    It holds pictures from the dataset: give it to nobody who may not see those.
    """
    from models import Bundle
    from training.data import load_dataset
    from training.evaluation import dataset_title
    from training.report import build_report

    if out.suffix.lower() not in (".html", ".htm"):
        raise TrainingError(f"a report is a web page, and {out} does not end in .html")
    require_folder_of(out)
    opened, dataset = Bundle.open(bundle), load_dataset(data)
    session = open_session(opened, device)
    trial = embed_trial(session, dataset, ignore_cameras=ignore_cameras, keep_junk=True, workers=workers)
    options: list[object] = ["--rerank", rerank] if rerank != "off" else []
    options += ["--ignore-cameras"] if ignore_cameras else []
    options += ["--run", run] if run is not None else []
    html = build_report(
        session,
        trial,
        card=opened.card,
        dataset=dataset_title(data, dataset),
        command=command_line("report", bundle, "--data", data, "--out", out, *options),
        rerank=rerank,
        run=run,
    )
    write_file(out, html.encode())
    console().print(f"wrote {out} ({len(html) / 1e6:.1f} MB)")
