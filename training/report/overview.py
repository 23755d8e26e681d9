"""The first thing on the page: what was measured, on what, and the few numbers that matter, each with its meaning."""

import html
import math

from models import Card
from retrieval.calibration import FEWEST_FALSE_ACCEPTS
from training.evaluation import Evaluation, protocol, rerank_words
from training.report.section import Section


def overview_section(evaluations: list[Evaluation], card: Card) -> Section:
    """The first evaluation is the plain one; the others are re-ranked."""
    tiles = "".join(_tile(*tile) for tile in _tiles(evaluations))
    plain = evaluations[0]
    left_out = f", {len(plain.trial.unreadable)} unreadable" if plain.trial.unreadable else ""
    facts = (
        f"Protocol: {protocol(plain.trial)}{left_out}. Model: {card.name} {card.version}, sha256 {card.sha256}. "
        f"Weights: {card.licence.weights}. Training data: {card.licence.training_data}."
    )
    return Section(
        "overview",
        "In short",
        f'<div class="tiles">{tiles}</div><p class="facts">{html.escape(facts)}</p>',
        f"A query is a picture of a person; a search lists the {len(plain.trial.gallery):,} gallery pictures, the most "
        "alike first. Right answers are other pictures of that person"
        + ("." if plain.trial.ignore_cameras else " from other cameras."),
    )


def _tiles(evaluations: list[Evaluation]) -> list[tuple[str, str, str]]:
    plain = evaluations[0]
    ranking = plain.ranking
    tiles = [
        (_percent(ranking.rank1), "first answer right", "of the queries; known as rank-1 or CMC-1"),
        (_percent(ranking.map_step), "mAP", "how far up all right answers stand, 100 % if none is below a wrong one"),
        (_percent(ranking.minp), "mINP", "how early even the hardest right answer comes"),
    ]
    tiles += [
        (
            _percent(evaluation.ranking.map_step),
            "mAP re-ranked",
            f"first answer right: {_percent(evaluation.ranking.rank1)}; {rerank_words(evaluation)}",
        )
        for evaluation in evaluations[1:]
    ]
    trusted = [
        point
        for point in plain.verification
        if math.isfinite(point.threshold) and point.false_accept_rate * point.negatives >= FEWEST_FALSE_ACCEPTS
    ]
    if trusted:
        point = trusted[-1]
        tiles.append(
            (
                _percent(point.true_accept_rate),
                "of pairs recognised",
                f"as one person by their score alone, if 1 of {round(1 / point.false_accept_rate):,} pairs of two "
                "people may be mistaken for one",
            )
        )
    if plain.open_set is not None:
        first = plain.open_set.points[0]
        tiles.append(
            (
                _percent(first.detection_rate),
                "found among strangers",
                f"queries answered rightly, if {first.false_alarm_rate:.0%} of the queries of people who are not there "
                "may raise an alarm",
            )
        )
    return tiles


def _tile(number: str, name: str, meaning: str) -> str:
    words = (html.escape(part) for part in (number, name, meaning))
    return '<div class="tile"><b>{}</b><span>{}</span><small>{}</small></div>'.format(*words)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
