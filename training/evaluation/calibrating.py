"""What a model's scores mean, measured on labelled pairs: section `calibration` of the card."""

import json
from dataclasses import replace
from typing import Literal

import models
from retrieval import Calibration, ScoreHistogram
from training.data import Dataset, query_and_gallery
from training.evaluation.distances import DistanceRows
from training.evaluation.errors import EvaluationError
from training.evaluation.trial import Trial

Pairs = Literal["test", "train"]


def pairs_of(dataset: Dataset, pairs: Pairs) -> Dataset:
    """The dataset whose query x gallery pairs are to be counted: its own, or ones made from its training split.

    People whom the network was trained on look less alike to it than strangers do. Thresholds from them are too low,
    and accept more strangers than they promise: `train` is for other datasets' training splits.
    """
    if pairs == "test":
        return dataset
    if not dataset.train:
        raise EvaluationError(f"{dataset.name} has no training pictures: calibrate on --pairs test")
    query, gallery = query_and_gallery(dataset.train, seed=0)
    return replace(dataset, query=query, gallery=gallery, multi_query=None)


def calibrate(trial: Trial, *, dataset: str, command: str) -> Calibration:
    """Thresholds at false-accept rates 1e-2, 1e-3 and 1e-4, over all query-gallery pairs that an evaluation counts.

    dataset: what the pairs are, in words. command: what to run to measure them again.
    """
    histogram = ScoreHistogram.of_pairs(
        DistanceRows(trial.query.vectors, trial.gallery.vectors),
        trial.query_labels,
        trial.gallery_labels,
        ignore_cameras=trial.ignore_cameras,
    )
    if not histogram.same_pairs or not histogram.different_pairs:
        missing = "same-person" if not histogram.same_pairs else "different-person"
        raise EvaluationError(f"there is no {missing} pair to count: check the labels, or add --ignore-cameras")
    return Calibration.from_histogram(histogram, dataset=dataset, command=command)


def pairs_in_words(title: str, pairs: Pairs, trial: Trial) -> str:
    """What was calibrated on, for the card."""
    origin = "query x gallery" if pairs == "test" else "training split, one query a person and camera"
    cameras = "cameras ignored" if trial.ignore_cameras else "other cameras only"
    return f"{title}: {origin}, {len(trial.query):,} x {len(trial.gallery):,} pictures, {cameras}"


def section_of(calibration: Calibration) -> models.Calibration:
    """The same facts as the card's section."""
    return models.Calibration.model_validate_json(json.dumps(calibration.to_dict()))


def in_plain_words(calibration: Calibration) -> list[str]:
    """A sentence for each threshold, for people who set alarms and not tables."""
    sentences = []
    for point in calibration.thresholds:
        accepted = int(point.false_accept_rate * point.negatives)
        sentences.append(
            f"A score of {point.threshold:.4f} or more: of {round(1 / point.false_accept_rate):,} pairs of different "
            f"people about 1 gets there by mistake (at most {accepted:,} of the {point.negatives:,} counted), and "
            f"{100 * point.true_accept_rate:.1f} of 100 pairs of the same person do ({point.positives:,} counted)."
        )
    if calibration.thresholds:
        loosest, strictest = calibration.thresholds[0].threshold, calibration.thresholds[-1].threshold
        if loosest == strictest:
            sentences.append(f"Searches answer likely from {strictest:.4f} up, and unlikely below.")
        else:
            sentences.append(
                f"Searches answer likely from {strictest:.4f} up, unlikely below {loosest:.4f}, and unsure between."
            )
        sentences.append("A score is a similarity, not the probability that two pictures show one person.")
    if calibration.reason is not None:
        sentences.append(f"Not known: {calibration.reason}.")
    return sentences
