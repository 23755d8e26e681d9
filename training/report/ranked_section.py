"""Ranked lists as rows of pictures: right ones framed green, wrong ones red, those that do not count greyed."""

import html

from training.evaluation import Evaluation
from training.report.picture_data import thumbnail
from training.report.ranked_lists import ANSWERS, Answer, RankedList, choose_queries, ranked_list
from training.report.section import Section

_EACH = 3  # queries of a kind
_TITLES = {"best": "Answered best", "worst": "Answered worst", "random": "Picked at random"}
_KEY = (
    '<p class="key-line"><b class="right">✓ the same person</b> <b class="wrong">✗ somebody else</b> '
    "<span>grey: does not count</span></p>"
)
_MARKS = {"right": "✓", "wrong": "✗", "own camera": "own cam", "junk": "junk"}


def ranked_section(evaluation: Evaluation) -> Section:
    chosen = choose_queries(evaluation, _EACH)
    parts = []
    for kind in ("random", "best", "worst"):
        lists = [ranked_list(evaluation, row) for row in chosen[kind]]
        if lists:
            parts.append(f"<h3>{_TITLES[kind]}</h3>{''.join(map(_row, lists))}")
    return Section(
        "lists",
        "What a search answers",
        _KEY + "".join(parts),
        f"Left, what was asked; then the first {ANSWERS} answers, the most alike first, with their score below. ✓ and "
        "a green frame: the same person; ✗ and a red frame: somebody else. Grey pictures do not count: the person's "
        "own pictures in the query's camera prove nothing, and junk shows nobody whole. The worst queries tell most: "
        "look for wrong labels, hidden people and twins in clothing before blaming the model. A side with a question "
        "mark is the model's own guess. These are plain scores, "
        "without re-ranking.",
    )


def _row(ranked: RankedList) -> str:
    more = f", {ranked.passed_over} more that do not count are not shown" if ranked.passed_over else ""
    words = (
        f"person {ranked.picture.person}: first right answer at place {ranked.first_match:,}, "
        f"{ranked.matches:,} to be found, AP {100 * ranked.ap:.1f} %{more}"
    )
    query = _figure(thumbnail(ranked.picture), "asked", "query", _where(ranked.picture.camera, ranked.view), "")
    answers = "".join(map(_cell, ranked.answers))
    return f'<div class="ranked"><p>{html.escape(words)}</p><div class="strip">{query}{answers}</div></div>'


def _cell(answer: Answer) -> str:
    mark = _MARKS[answer.verdict]
    place = f"{mark} {answer.rank}" if answer.rank is not None else mark
    kind = answer.verdict if answer.rank is not None else "ignored"
    where = _where(answer.picture.camera, answer.view)
    return _figure(thumbnail(answer.picture), place, kind, where, f"{answer.score:.3f}")


def _where(camera: str | None, view: str) -> str:
    return " ".join(word for word in (camera, view) if word)


def _figure(address: str | None, place: str, kind: str, where: str, score: str) -> str:
    image = f'<img alt="" src="{address}">' if address else '<span class="gone">cannot be read</span>'
    return (
        f'<figure class="{kind}"><span class="place">{html.escape(place)}</span>{image}'
        f"<figcaption>{html.escape(where)}<br>{html.escape(score)}</figcaption></figure>"
    )
