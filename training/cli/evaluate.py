"""`vantage-train evaluate`: score a bundle on a dataset, through the file that will be served."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from models import Device, Precision
from training.cli.bundles import (
    K1,
    K2,
    BundleArgument,
    DataOption,
    IgnoreCameras,
    Lam,
    Workers,
    command_line,
    console,
    embed_trial,
    open_session,
    other_precision,
    require_folder_of,
    write_file,
)


def evaluate(
    bundle: BundleArgument,
    data: DataOption,
    rerank: Annotated[
        Literal["off", "exact", "online", "local"],
        typer.Option(
            help="k-reciprocal re-ranking: exact pools all queries as published, online asks one at a time as the "
            "service does, local re-ranks each query's nearest.",
        ),
    ] = "off",
    multi_query: Annotated[
        bool, typer.Option("--multi-query", help="Ask with the mean of all pictures of the person from that camera.")
    ] = False,
    ignore_cameras: IgnoreCameras = False,
    as_json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every number to this file as well.")
    ] = None,
    write_card: Annotated[
        bool, typer.Option("--write-card", help="Write the result into the bundle's card, with this command.")
    ] = False,
    k1: K1 = 20,
    k2: K2 = 6,
    lam: Lam = 0.3,
    top: Annotated[int, typer.Option(min=1, help="How many nearest are re-ranked with --rerank local.")] = 400,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = "auto",
    precision: Annotated[
        Precision | None, typer.Option(help="Which of the bundle's files.", show_default="that of model.onnx")
    ] = None,
    workers: Workers = None,
) -> None:
    """Score a bundle on a dataset's query and gallery, through the ONNX file and preprocessing that will be served.

    Any bundle will do, also of a network that was trained elsewhere: its card says how it is fed.
    """
    from models import Bundle
    from retrieval import RerankSettings
    from training.cards import save_card
    from training.data import load_dataset
    from training.evaluation import (
        dataset_title,
        evaluation_as_json,
        render_evaluation,
        result_of,
        with_result,
    )
    from training.evaluation import evaluate as score

    if as_json is not None:
        require_folder_of(as_json)
    settings = RerankSettings(k1, k2, lam)
    opened, dataset = Bundle.open(bundle, precision), load_dataset(data)
    session = open_session(opened, device)
    trial = embed_trial(session, dataset, multi_query=multi_query, ignore_cameras=ignore_cameras, workers=workers)
    evaluation = score(trial, rerank, settings, local_top=top)

    title = dataset_title(data, dataset)
    file = other_precision(opened)
    console().print(render_evaluation(evaluation, f"{opened.card.name} {opened.card.version} on {title}", file))
    options: list[object] = ["--rerank", rerank] if rerank != "off" else []
    options += ["--k1", k1, "--k2", k2, "--lambda", f"{lam:g}"] if settings != RerankSettings() else []
    options += ["--top", top] if rerank == "local" and top != 400 else []
    options += ["--multi-query"] if multi_query else []
    options += ["--ignore-cameras"] if ignore_cameras else []
    options += ["--precision", file] if file is not None else []
    command = command_line("evaluate", bundle, "--data", data, *options)
    if as_json is not None:
        facts = {
            "model": opened.card.name,
            "version": opened.card.version,
            "sha256": opened.sha256,
            "precision": opened.precision,
            "provider": session.provider,
            "dataset": title,
            "spec": data,
            "command": command,
        }
        write_file(as_json, (json.dumps(facts | evaluation_as_json(evaluation), indent=2) + "\n").encode())
        console().print(f"wrote {as_json}")
    if write_card:
        result = result_of(evaluation, dataset=title, command=command, precision=file)
        save_card(bundle, with_result(opened.card, result))
        console().print(f"wrote the result into {bundle / 'card.json'}")
