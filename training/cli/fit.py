"""`vantage-train fit`: train a network."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from training.cli.data import SPEC_HELP


def fit(
    data: Annotated[str, typer.Option(metavar="SPEC", help=SPEC_HELP)],
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE", help="A recipe that comes with Vantage, such as tiny or va, or a .toml file."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="RUN", help="The folder of the run, new or, with --resume, its own.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from RUN's checkpoint, if it has one.")] = False,
    epochs: Annotated[
        int | None, typer.Option(min=0, help="Instead of the recipe's. 0 only validates the untrained network.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="What is asked for is what runs.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights, the batches and the augmentation.")] = 0,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="random|published|FILE", help="Where the backbone starts.", show_default="what the recipe says"
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; 1 makes runs repeat bit by bit.", show_default="torch's own")
    ] = None,
) -> None:
    """Train a network. Held-out training people, never the test split, choose the weights that are kept.

    SIGINT and SIGTERM save and leave with 130 and 143; a run that was stopped, or killed, goes on with --resume.
    Started by torchrun, it trains on all GPUs.
    """
    from rich.console import Console

    from training.fit import fit as run
    from training.progress import console_reporter
    from training.recipe_reading import read_recipe

    asked = read_recipe(recipe)
    if epochs is not None:
        asked = replace(asked, schedule=replace(asked.schedule, epochs=epochs))
    if weights is not None:
        asked = replace(asked, network=replace(asked.network, weights=weights))
    try:
        result = run(
            data,
            asked,
            out,
            resume=resume,
            seed=seed,
            device=device,  # type: ignore[arg-type]  # checked there
            threads=threads,
            reporter=console_reporter(Console()),
        )
    except KeyboardInterrupt:  # before the first step: there is nothing to save yet
        raise typer.Exit(130) from None
    if result.stopped_by:
        raise typer.Exit(result.stopped_by)
