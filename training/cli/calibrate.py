"""`vantage-train calibrate`: measure what a bundle's scores mean, and write it into its card."""

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
)


def calibrate(
    bundle: BundleArgument,
    data: DataOption,
    pairs: Annotated[
        Literal["test", "train"],
        typer.Option(
            help="Which pairs are counted: test, the query x gallery pairs; train, pairs made of the training split. "
            "The people must not be those that the model was trained on, or its thresholds promise too much.",
        ),
    ] = "test",
    ignore_cameras: IgnoreCameras = False,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = "auto",
    workers: Workers = None,
) -> None:
    """Measure the scores of same-person and different-person pairs, and write thresholds into the bundle's card.

    Searches that use the bundle then call a result likely, unsure or unlikely.
    """
    from rich.table import Table

    from models import Bundle
    from training.cards import save_card
    from training.data import load_dataset
    from training.evaluation import calibrate as measure
    from training.evaluation import dataset_title, in_plain_words, pairs_in_words, pairs_of, section_of

    opened, dataset = Bundle.open(bundle), load_dataset(data)
    chosen = pairs_of(dataset, pairs)
    trial = embed_trial(open_session(opened, device), chosen, ignore_cameras=ignore_cameras, workers=workers)
    options = ["--pairs", pairs] if pairs != "test" else []
    options += ["--ignore-cameras"] if ignore_cameras else []
    measured = measure(
        trial,
        dataset=pairs_in_words(dataset_title(data, dataset), pairs, trial),
        command=command_line("calibrate", bundle, "--data", data, *options),
    )
    save_card(
        bundle,
        opened.card.model_copy(update={"calibration": section_of(measured), "uncalibrated_because": None}),
    )

    table = Table(box=None, pad_edge=False)
    for title in ("false accepts", "threshold", "true accepts", "different-person pairs", "same-person pairs"):
        table.add_column(title, justify="right")
    for point in measured.thresholds:
        table.add_row(
            f"{point.false_accept_rate:g}",
            f"{point.threshold:.4f}",
            f"{100 * point.true_accept_rate:.2f} %",
            f"{point.negatives:,}",
            f"{point.positives:,}",
        )
    console().print(f"{opened.card.name} {opened.card.version} on {measured.dataset}")
    if measured.thresholds:
        console().print(table)
    for sentence in (*in_plain_words(measured), *_left_out(trial.unreadable)):
        console().print(sentence)
    console().print(f"wrote the calibration into {bundle / 'card.json'}")


def _left_out(unreadable: tuple[str, ...]) -> list[str]:
    if not unreadable:
        return []
    return [f"{len(unreadable)} pictures cannot be read and were left out; the first: {unreadable[0]}"]
