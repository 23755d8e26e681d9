"""`vantage model`: look at model bundles and try them out."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models import ZOO, Bundle, Card, Device, ModelError, Precision, Session, check_session, list_bundles
from models.card import CARD_FILE

app = typer.Typer(help="Look at model bundles and try them out.", no_args_is_help=True)

if TYPE_CHECKING:
    from rich.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table for people.")]


@app.command()
def check(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The bundle: a folder with card.json and model.onnx.")
    ],
    device: Annotated[
        Device,
        typer.Option(help="Where to run. Only auto may end on the CPU by itself, and then it says why."),
    ] = "auto",
    precision: Annotated[
        Precision | None, typer.Option(help="Which of the bundle's files to try.", show_default="that of model.onnx")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads that work on one batch.", show_default="one per core")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Crops in the batch that is tried.")] = 32,
    as_json: AsJson = False,
) -> None:
    """Load a bundle, run it on generated crops and report.

    Fails, with a sentence and exit code 1, if the file's hash, inputs or outputs are not those of the card, if the
    model does not run on the device, or if a crop's embedding alone is not its embedding in a batch (within 1e-5, in
    float16 1e-2).
    """
    bundle = Bundle.open(directory, precision)
    session = Session(bundle, device=device, threads=threads, max_batch=batch)
    report = check_session(session, batch=batch)
    facts: dict[str, Any] = {
        "name": bundle.card.name,
        "version": bundle.card.version,
        "file": str(bundle.file),
        "sha256": bundle.sha256,
        "precision": bundle.precision,
        "inputs": [str(port) for port in bundle.graph.inputs],
        "outputs": [str(port) for port in bundle.graph.outputs],
        "device": device,
        "provider": session.provider,
        "fallback_reason": session.fallback_reason,
        "threads": threads,
        **asdict(report),
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        _print_check(facts)


@app.command("list")
def list_(
    zoo: Annotated[
        Path,
        typer.Option(help="The folder whose subfolders are bundles.", show_default="the zoo that comes with vantage"),
    ] = ZOO,
    as_json: AsJson = False,
) -> None:
    """List the bundles of a zoo by their cards; nothing is loaded or run (that is `vantage model check`)."""
    cards: dict[Path, Card] = {}
    problems: dict[Path, ModelError] = {}
    for path in list_bundles(zoo):
        try:
            cards[path] = Card.load(path / CARD_FILE)
        except ModelError as error:
            problems[path] = error
    if as_json:
        typer.echo(json.dumps([_facts(path, card) for path, card in cards.items()], indent=2))
    elif cards:
        _print_list(cards)
    elif not problems:
        typer.echo(
            f"There is no bundle in {zoo}. Its README.md says how to bring a model; vantage-train export makes one."
        )
    if problems:
        raise ModelError("\n".join(str(error) for error in problems.values()))


def _facts(path: Path, card: Card) -> dict[str, Any]:
    return {
        "path": str(path),
        "name": card.name,
        "version": card.version,
        "sha256": card.sha256,
        "input": {"height": card.input.height, "width": card.input.width},
        "dimension": card.embedding.dimension,
        "precisions": [card.precision, *(variant.precision for variant in card.variants)],
        "viewpoints": card.outputs.viewpoint is not None,
        "calibrated": card.calibration is not None,
        "results": [result.model_dump(mode="json") for result in card.results],
        "licence": card.licence.model_dump(),
    }


def _print_list(cards: dict[Path, Card]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("model", "version", "crops", "gives", "first result", "licence"):
        table.add_column(title, overflow="fold", no_wrap=title in ("model", "crops"))
    for path, card in cards.items():
        gives = [f"{card.embedding.dimension} numbers"]
        if card.outputs.viewpoint is not None:
            gives.append("viewpoint")
        if card.calibration is not None:
            gives.append("verdicts")
        first = f"mAP {card.results[0].mean_ap:.1%} on {card.results[0].dataset}" if card.results else "none"
        size = f"{card.input.height} x {card.input.width}"
        table.add_row(path.name, card.version, size, ", ".join(gives), first, card.licence.weights)
    _console().print(table)


def _print_check(facts: dict[str, Any]) -> None:
    from rich.table import Table

    provider = facts["provider"]
    if facts["fallback_reason"]:
        provider += f" ({facts['fallback_reason']})"
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in (
        ("model", f"{facts['name']} {facts['version']}, {facts['precision']}"),
        ("file", facts["file"]),
        ("sha256", facts["sha256"]),
        ("input", "\n".join(facts["inputs"])),
        ("output", "\n".join(facts["outputs"])),
        ("provider", provider),
        ("throughput", f"{facts['crops_per_second']:.1f} crops/s in batches of {facts['batch']}"),
        ("", f"{facts['single_crops_per_second']:.1f} crops/s one at a time"),
        (
            "batching",
            f"alone and batched differ by {facts['single_difference']:.1e} (allowed: {facts['tolerance']:g})",
        ),
    ):
        table.add_row(name, value)
    console = _console()
    console.print(table)
    console.print("This model is fit to serve.")


def _console() -> "Console":
    from rich.console import Console

    # What is printed comes from cards, and shapes such as [any, 3] are not colours.
    return Console(markup=False, highlight=False, emoji=False)
