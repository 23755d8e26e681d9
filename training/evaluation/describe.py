"""The words of an evaluation: which dataset, which protocol, which definition; for tables, cards and JSON alike."""

from pathlib import PurePath

from training.data import Dataset, parse_spec
from training.evaluation.evaluate import Evaluation
from training.evaluation.trial import Trial

STEP_AP = "step: the mean of the precision at every match (as fast-reid, torchreid and TransReID count)"
TRAPEZOID_AP = "trapezoid: precision averaged over the step up to every match (as Market-1501's own code counts)"


def dataset_title(spec: str, dataset: Dataset) -> str:
    """What results are filed under: a published dataset's name, or whatever tells an own one from others."""
    name, place, _ = parse_spec(spec)
    if name == "synthetic":
        return spec  # the spec is the dataset
    if name in ("folder", "csv"):
        return f"{name} {PurePath(place).name}"
    return dataset.name


def protocol(trial: Trial, precision: str | None = None) -> str:
    """One line: how it was asked, what was left out and how many there were.

    precision: of a file that is not the bundle's first.
    """
    parts = ["single query" if trial.multi_query is None else f"multi-query (mean of {trial.multi_query:,} pictures)"]
    parts.append("cameras ignored" if trial.ignore_cameras else "finds in the query's own camera left out")
    parts.append(f"{len(trial.query):,} queries, {len(trial.gallery):,} gallery pictures")
    if trial.junk:
        parts.append(f"{trial.junk:,} junk pictures left out")
    if trial.unreadable:
        parts.append(f"{len(trial.unreadable):,} unreadable pictures left out")
    if precision is not None:
        parts.append(f"the {precision} file")
    return "; ".join(parts)


def rerank_words(evaluation: Evaluation) -> str:
    """One line: how the ranking was made."""
    settings = evaluation.settings
    numbers = f"k1={settings.k1}, k2={settings.k2}, lambda={settings.lam:g}"
    return {
        "off": "none: by cosine similarity",
        "exact": f"k-reciprocal, all queries pooled as published ({numbers})",
        "online": f"k-reciprocal, one query at a time against the prepared gallery, as served ({numbers})",
        "local": f"k-reciprocal among each query's {evaluation.local_top:,} nearest ({numbers})",
    }[evaluation.rerank]
