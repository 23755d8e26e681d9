"""`vantage-train export`: make a bundle of a run, and prove that it gives what the network gives."""

from pathlib import Path
from typing import Annotated

import typer

from training.cli.bundles import Workers, console
from training.cli.data import SPEC_HELP


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a run of vantage-train fit, or its best.pt.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The bundle to make, as in models/zoo/NAME; new or empty.")],
    name: Annotated[
        str | None, typer.Option(help="What the model is called.", show_default="the name of the folder")
    ] = None,
    version: Annotated[str, typer.Option(help="Which of the models of this name it is.")] = "1",
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="SPEC", help=f"Whose crops it is proven on. {SPEC_HELP}", show_default="that of the run"
        ),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What the weights may be used for; known for published datasets.")
    ] = None,
    data_terms: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The terms of the training data; known for published datasets.")
    ] = None,
    no_float16: Annotated[bool, typer.Option("--no-float16", help="Leave the float16 file out.")] = False,
    workers: Workers = None,
) -> None:
    """Export a run's best network as a bundle: model.onnx, model.fp16.onnx, card.json and README.md.

    Pictures go in as they are decoded: normalising them and the vectors is done inside the graph, for any batch size.

    64 crops of the dataset go through the network and through the served bundle. Unless the cosine of every pair of
    embeddings is at least 0.9999 (float16: 0.999), and a crop's embedding alone is that in a batch, nothing is left.
    """
    from training.data import load_dataset
    from training.export import proof_crops, require_free, write_bundle
    from training.export.run_facts import export_facts
    from training.trained import read_trained

    called = name or out.resolve().name
    require_free(out, called)
    trained = read_trained(run)
    facts = export_facts(trained, name=called, version=version, licence=licence, data_terms=data_terms)
    crops = proof_crops(load_dataset(data or str(trained.data["spec"])), facts.input, workers)
    card = write_bundle(trained.network, facts, out, crops, half_precision=not no_float16)
    for file, parity in [("model.onnx", card.parity), *((variant.file, variant.parity) for variant in card.variants)]:
        if parity is not None:
            console().print(
                f"{file} gives what the network gives: over {parity.crops} crops, a cosine of at least "
                f"{parity.min_cosine:.6f}"
            )
    console().print(
        f"wrote {out}; next: vantage-train evaluate {out} --data SPEC --write-card, vantage-train calibrate {out} "
        "--data SPEC"
    )
