import numpy as np
import pytest

from models import Bundle, Session
from training.data import load_dataset
from training.evaluation import evaluate, open_trial
from training.report import choose_queries, ranked_list
from training.report.ranked_lists import ANSWERS, nearest_match


@pytest.fixture
def evaluation(linear_model, colourful_market):
    session = Session(Bundle.open(linear_model().path), device="cpu", threads=1)
    return evaluate(open_trial(session, load_dataset(f"market1501:{colourful_market()}"), keep_junk=True))


def test_a_list_is_the_literal_order_with_junk_and_own_camera_uncounted(evaluation):
    trial = evaluation.trial
    for row, asked in enumerate(trial.query.split):
        entries = []
        for embedded in (trial.gallery, trial.junk_pictures):
            for picture, vector in zip(embedded.split, embedded.vectors, strict=True):
                own = picture.person == asked.person
                verdict = "right" if own else "wrong"
                if picture.person == "-1":
                    verdict = "junk"
                elif own and picture.camera == asked.camera:
                    verdict = "own camera"
                entries.append((-float(vector @ trial.query.vectors[row]), picture.name, verdict))
        entries.sort()
        ranked = ranked_list(evaluation, row)
        counted = [name for _, name, verdict in entries if verdict in ("right", "wrong")]
        answers = [answer for answer in ranked.answers if answer.rank is not None]
        assert [answer.picture.name for answer in answers] == counted[:ANSWERS]
        assert [answer.rank for answer in answers] == list(range(1, ANSWERS + 1))
        verdicts = {name: verdict for _, name, verdict in entries}
        assert all(answer.verdict == verdicts[answer.picture.name] for answer in ranked.answers)
        before = [name for _, name, _ in entries][: [name for _, name, _ in entries].index(counted[ANSWERS - 1])]
        ignored = [name for name in before if verdicts[name] in ("junk", "own camera")]
        shown = [answer.picture.name for answer in ranked.answers if answer.rank is None]
        assert shown == ignored[: len(shown)]
        assert ranked.passed_over == len(ignored) - len(shown)
        assert ranked.matches == sum(verdict == "right" for verdict in verdicts.values())
        first = [name for _, name, verdict in entries if verdict in ("right", "wrong")]
        assert verdicts[first[ranked.first_match - 1]] == "right"
        assert all(verdicts[name] == "wrong" for name in first[: ranked.first_match - 1])


def test_queries_are_chosen_by_their_score_and_none_twice(evaluation):
    chosen = choose_queries(evaluation, 3)
    ap = evaluation.ranking.ap_step
    rows = [row for kind in chosen.values() for row in kind]
    assert len(rows) == len(set(rows)) == 9
    assert ap[chosen["worst"][0]] == np.nanmin(ap)
    assert ap[chosen["best"][0]] == np.nanmax(ap)
    for kind in chosen.values():
        people = evaluation.trial.query.split.take(kind).people
        assert len(people) == 3
    assert choose_queries(evaluation, 3) == chosen


def test_the_nearest_match_is_the_best_scoring_right_answer(evaluation):
    for row in range(len(evaluation.trial.query)):
        ranked = [answer for answer in ranked_list(evaluation, row).answers if answer.verdict == "right"]
        match = nearest_match(evaluation.trial, row)
        if ranked:
            assert evaluation.trial.gallery.split[match] == ranked[0].picture
