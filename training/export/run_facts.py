"""From what a run says of itself to what a card says."""

from models import Training
from training.data import parse_spec
from training.export.bundle import ExportFacts
from training.export.terms import licence_of
from training.served_input import served_input
from training.trained import TrainedNetwork


def export_facts(
    trained: TrainedNetwork,
    *,
    name: str,
    version: str,
    licence: str | None = None,
    data_terms: str | None = None,
) -> ExportFacts:
    """licence, data_terms: what the weights may be used for and the terms of their data; None where they are known."""
    spec, dataset = str(trained.data["spec"]), str(trained.data["name"])
    settings, network = trained.network.settings, trained.recipe.network
    terms = licence_of(dataset, licence, data_terms)
    if network.start is not None:
        where = "published weights" if network.weights == "published" else "the weights of a file"
        further = f"{terms.training_data}; training began from {where} of {network.backbone}, whose terms hold too"
        terms = terms.model_copy(update={"training_data": further})
    return ExportFacts(
        name=name,
        version=version,
        licence=terms,
        input=served_input(settings.height, settings.width, network.resize),
        training=Training(
            # a place on somebody's disk says nothing to others; a synthetic spec is the data
            dataset=spec if parse_spec(spec)[0] == "synthetic" else dataset,
            recipe=trained.recipe.name,
            seed=trained.seed,
            epochs=trained.epoch,
            versions=trained.versions,
        ),
    )
