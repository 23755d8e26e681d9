"""The gallery as a map: pictures that the model finds alike lie near each other."""

import hashlib

import numpy as np

from training.data import VIEWPOINTS
from training.evaluation import Trial
from training.report.chart import scatter
from training.report.section import Section
from training.report.tsne import tsne

_PICTURES = 400
_NAMED = 10  # people with a colour of their own
_FEWEST = 10  # pictures that make a map


def map_section(trial: Trial) -> Section | None:
    """None where there are too few pictures of people who are searched for."""
    rows = _chosen(trial)
    if len(rows) < _FEWEST:
        return None
    places = tsne(trial.gallery.vectors[rows])
    persons = trial.gallery.split.persons[rows]
    charts = [_by_person(places, persons.tolist())]
    if trial.views is not None:
        charts.insert(0, _by_view(places, trial.views.gallery[rows].tolist(), persons.tolist()))
    sides = (
        f" Left, by the side that is seen ({trial.views.source}): if the colours lie apart, the model has learned "
        "sides and not people. Right, the same map with ten people picked out, each by a letter."
        if trial.views is not None
        else " Ten people are picked out, each by a letter."
    )
    return Section(
        "map",
        "The gallery as a map",
        f'<div class="pair">{"".join(f"<div>{chart}</div>" for chart in charts)}</div>',
        f"{len(rows)} gallery pictures of {len(set(persons.tolist()))} people, laid out by t-SNE so that alike ones "
        f"are neighbours.{sides} One letter in one heap is good; a heap of many letters is people who are mixed up. "
        "Only nearness means something: directions, and distances between far heaps, do not.",
    )


def _chosen(trial: Trial) -> list[int]:
    """Gallery rows of whole people, in an order that depends on their labels alone, up to the limit."""
    by_person: dict[str, list[int]] = {}
    asked = set(trial.query.split.people)
    for row, picture in enumerate(trial.gallery.split):
        if picture.person in asked:
            by_person.setdefault(picture.person, []).append(row)
    order = sorted(by_person, key=lambda person: hashlib.blake2b(person.encode(), digest_size=16).digest())
    rows: list[int] = []
    for person in order:
        if rows and len(rows) + len(by_person[person]) > _PICTURES:
            break
        rows += by_person[person]
    return rows


def _by_view(places: np.ndarray[tuple[int, int], np.dtype[np.float64]], views: list[int], persons: list[str]) -> str:
    names = dict(enumerate(VIEWPOINTS)) | {-1: "not known"}
    points = [
        (float(x), float(y), view + 1, f"{person}, {names[view]}")
        for (x, y), view, person in zip(places, views, persons, strict=True)
    ]
    named = [(name, place + 1) for place, name in enumerate(VIEWPOINTS)]
    return scatter(points, named + ([("not known", 0)] if -1 in views else []), "map of the gallery by viewpoint")


def _by_person(places: np.ndarray[tuple[int, int], np.dtype[np.float64]], persons: list[str]) -> str:
    pictures = {person: persons.count(person) for person in dict.fromkeys(persons)}
    named = sorted(pictures, key=lambda person: -pictures[person])[:_NAMED]
    colour = {person: place + 1 for place, person in enumerate(named)}
    letter = {person: chr(ord("A") + place) for place, person in enumerate(named)}
    points = [
        (float(x), float(y), colour.get(person, 0), f"{letter.get(person, '')} {person}".strip())
        for (x, y), person in zip(places, persons, strict=True)
    ]
    keys = [(f"{letter[person]} {person}", colour[person]) for person in named]
    return scatter(points, [*keys, ("others", 0)], "map of the gallery by person", letters=True)
