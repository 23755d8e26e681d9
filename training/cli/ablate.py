"""`vantage-train ablate`: run recipes over seeds, and print the papers' table beside ours."""

import json
from pathlib import Path
from typing import Annotated

import typer

from training.cli.bundles import command_line, console, require_folder_of, write_file
from training.cli.data import SPEC_HELP
from training.errors import TrainingError

ROWS = "xent,lsr,ly,ly_lv,ly_lr,va,triplet@xent,sn_separation@xent,sn@xent,xent@xent,va_sn"


def ablate(
    data: Annotated[str, typer.Option(metavar="SPEC", help=SPEC_HELP)],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the runs go: DIR/ROW/seed-N, each as fit leaves it.")],
    recipes: Annotated[
        str,
        typer.Option(
            metavar="ROW,ROW,..",
            help="What is compared, by name or .toml file; the first row is what the others are held against. A@B "
            "starts A from the backbone of row B's best.pt of the same seed: losses without a classifier, such as "
            "triplet and sn, seldom get going from random weights.",
        ),
    ] = ROWS,
    seeds: Annotated[str, typer.Option(metavar="N,N,..", help="Each row is run with each of them.")] = "0,1,2",
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="A recipe such as tiny that gives every row its network, batches, schedule and augmentation; a row "
            "then keeps its loss, neck, head and parts.",
            show_default="each recipe as it stands",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipes'.")] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="What is asked for is what runs.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; 1 makes runs repeat bit by bit.", show_default="torch's own")
    ] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every run and the summary as JSON too.")
    ] = None,
) -> None:
    """Run recipes over seeds, and print the papers' table beside ours.

    Every run is judged on the same held-out training people, never on the test split: all queries, and those that look
    for the same and for another viewpoint apart.

    The same command goes on where it was stopped: what has finished is not run again. A run that fails is reported, the
    others go on, and the exit code is 3. SIGINT and SIGTERM save and leave with 130 and 143.
    """
    from training.ablation import Ablation, Failure, RunResult, Stopped, ablation_as_json, parse_rows, render_ablation
    from training.data import load_dataset
    from training.evaluation import dataset_title
    from training.progress import console_reporter

    if as_json is not None:
        require_folder_of(as_json)
    rows, numbers = parse_rows(recipes), _seeds(seeds)
    ablation = Ablation(
        data,
        rows,
        numbers,
        out,
        base=base,
        epochs=epochs,
        device=device,  # type: ignore[arg-type]  # checked there
        threads=threads,
    )
    screen = console()
    results: list[RunResult] = []
    failures: list[Failure] = []
    try:
        for end in ablation.run(lambda: console_reporter(screen), screen.print):
            if isinstance(end, Stopped):
                screen.print(f"stopped after {len(results)} runs; the same command goes on from here")
                raise typer.Exit(end.exit_code)
            if isinstance(end, Failure):
                failures.append(end)
                screen.print(f"{end.row} with seed {end.seed} failed: {end.reason}")
            else:
                results.append(end)
    except KeyboardInterrupt:  # before the first step of a run: there is nothing to save
        raise typer.Exit(130) from None
    screen.print(render_ablation(ablation, results, failures, dataset_title(data, load_dataset(data))))
    if as_json is not None:
        options: list[object] = [] if base is None else ["--base", base]
        options += [] if epochs is None else ["--epochs", epochs]
        command = command_line("ablate", "--data", data, "--recipes", recipes, "--seeds", seeds, "--out", out, *options)
        content = ablation_as_json(ablation, results, failures, command)
        write_file(as_json, (json.dumps(content, indent=2) + "\n").encode())
        screen.print(f"wrote {as_json}")
    if failures:
        raise typer.Exit(3)


def _seeds(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise TrainingError(f"seeds are {text!r}: give whole numbers with commas between, as in 0,1,2") from None
