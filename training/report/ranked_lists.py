"""What a search answers: for some queries, the gallery pictures in the order of their scores."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from retrieval import squared_distance
from training.data import VIEWPOINTS, Picture
from training.evaluation import EmbeddedSplit, Evaluation, Trial

Verdict = Literal["right", "wrong", "own camera", "junk"]

ANSWERS = 10
"""How many answers that count a list shows."""

_IGNORED = 3  # answers that do not count, shown at most


@dataclass(frozen=True, slots=True)
class Answer:
    """rank: from 1 among the answers that count; None where it does not count. view: "" if nobody knows."""

    picture: Picture
    verdict: Verdict
    rank: int | None
    score: float
    view: str


@dataclass(frozen=True, slots=True)
class RankedList:
    """query: its row. ap: its step AP. first_match: the rank of the first right answer. passed_over: answers that do
    not count, beyond those that are shown."""

    query: int
    picture: Picture
    view: str
    ap: float
    first_match: int
    matches: int
    answers: tuple[Answer, ...]
    passed_over: int


def choose_queries(evaluation: Evaluation, count: int) -> dict[str, list[int]]:
    """Rows of the best, the worst and some random queries, none twice, the best and worst of different people."""
    ap = evaluation.ranking.ap_step
    scored = np.flatnonzero(~np.isnan(ap))
    persons = evaluation.trial.query_labels.person
    by_score = scored[np.lexsort((scored, evaluation.ranking.first_match[scored], -ap[scored]))]
    chosen: dict[str, list[int]] = {}
    taken: set[int] = set()
    for name, order in (
        ("worst", by_score[::-1]),
        ("best", by_score),
        ("random", np.random.default_rng(0).permutation(scored)),
    ):
        people: set[int] = set()
        rows = chosen[name] = []
        for row in order.tolist():
            if len(rows) == count:
                break
            person = int(persons[row])
            if row not in taken and person not in people:
                rows.append(row)
                taken.add(row)
                people.add(person)
    return chosen


def ranked_list(evaluation: Evaluation, row: int) -> RankedList:
    """The first answers to a query by plain score, with junk where there is some."""
    trial = evaluation.trial
    query = trial.query.split[row]
    scores = trial.query.vectors[row] @ trial.gallery.vectors.T
    entries = [(float(score), place, False) for place, score in enumerate(scores.tolist())]
    if trial.junk_pictures is not None:
        junk = trial.query.vectors[row] @ trial.junk_pictures.vectors.T
        entries += [(float(score), place, True) for place, score in enumerate(junk.tolist())]
    # by distance, as in the metrics: junk and gallery rank together, equals by place
    distances = squared_distance(np.array([entry[0] for entry in entries], np.float32))
    answers: list[Answer] = []
    rank = ignored = passed_over = 0
    for at in np.argsort(distances, kind="stable").tolist():
        score, place, is_junk = entries[at]
        answer = _answer(trial, row, score, place, is_junk)
        if answer.verdict in ("right", "wrong"):
            rank += 1
            answers.append(_ranked(answer, rank))
        elif ignored < _IGNORED:
            ignored += 1
            answers.append(answer)
        else:
            passed_over += 1
        if rank == ANSWERS:
            break
    persons, cameras = trial.gallery_labels.person, trial.gallery_labels.camera
    own = persons == trial.query_labels.person[row]
    if cameras is not None and trial.query_labels.camera is not None:
        own &= cameras != trial.query_labels.camera[row]
    return RankedList(
        query=row,
        picture=query,
        view=view_words(trial.query, row),
        ap=float(evaluation.ranking.ap_step[row]),
        first_match=int(evaluation.ranking.first_match[row]),
        matches=int(own.sum()),
        answers=tuple(answers),
        passed_over=passed_over,
    )


def nearest_match(trial: Trial, row: int) -> int | None:
    """The gallery row of the query's best-scoring right answer; None where it has none."""
    right = trial.gallery_labels.person == trial.query_labels.person[row]
    if trial.gallery_labels.camera is not None and trial.query_labels.camera is not None:
        right &= trial.gallery_labels.camera != trial.query_labels.camera[row]
    places = np.flatnonzero(right)
    if not len(places):
        return None
    return int(places[np.argmax(trial.gallery.vectors[places] @ trial.query.vectors[row])])


def view_words(embedded: EmbeddedSplit, row: int) -> str:
    """The side that a picture shows: as labelled, or what the model says with a question mark, or nothing."""
    labelled = embedded.split[row].viewpoint
    if labelled is not None:
        return labelled
    if embedded.viewpoints is None:
        return ""
    return f"{VIEWPOINTS[int(embedded.viewpoints[row].argmax())]}?"


def _answer(trial: Trial, row: int, score: float, place: int, is_junk: bool) -> Answer:
    if is_junk:
        assert trial.junk_pictures is not None
        return Answer(trial.junk_pictures.split[place], "junk", None, score, view_words(trial.junk_pictures, place))
    verdict: Verdict = "wrong"
    if trial.gallery_labels.person[place] == trial.query_labels.person[row]:
        cameras = trial.gallery_labels.camera, trial.query_labels.camera
        same = cameras[0] is not None and cameras[1] is not None and cameras[0][place] == cameras[1][row]
        verdict = "own camera" if same else "right"
    return Answer(trial.gallery.split[place], verdict, None, score, view_words(trial.gallery, place))


def _ranked(answer: Answer, rank: int) -> Answer:
    return Answer(answer.picture, answer.verdict, rank, answer.score, answer.view)
