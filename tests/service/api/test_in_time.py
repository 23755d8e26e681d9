"""Near its deadline a search is not re-ranked, rather than late."""

import time

import numpy as np
import pytest

from service.api.in_time import InTime
from service.embedding import DeadlineExceededError
from service.gallery import Answer, Probe, Search
from service.gallery.searching import Reranking

PROBE = Probe(vectors=np.array([[1.0, 0.0]], np.float32))
LONG = 3600.0


class Engine:
    """Takes as long as it is told, by a clock that does nothing else."""

    def __init__(self) -> None:
        self.clock = 1000.0
        self.seconds = {"online": 2.0, "off": 0.1, "local": 1.0}
        self.asked: list[str] = []

    def search(self, name, search):
        mode = search.rerank or "online"
        self.asked.append(mode)
        self.clock += self.seconds[mode]
        done = Reranking(applied=mode != "off", mode=mode, k1=20, k2=6, lam=0.3)
        return Answer(
            gallery=name,
            change=1,
            hits=(),
            requested=search.k,
            exhausted=True,
            allowed=None,
            hidden=0,
            exact=True,
            reranking=done,
        )


@pytest.fixture
def engine(monkeypatch):
    made = Engine()
    monkeypatch.setattr(time, "monotonic", lambda: made.clock)
    return made


def search(in_time, engine, left, rerank=None, gallery="g"):
    return in_time.search(gallery, Search(probe=PROBE, rerank=rerank), "online", engine.clock + left).reranking


def test_with_less_time_than_it_lately_took_a_search_is_not_re_ranked_and_says_why(engine):
    in_time = InTime(engine)
    assert search(in_time, engine, LONG).applied
    done = search(in_time, engine, 1.0)
    assert (done.applied, done.mode, done.reason_skipped) == (False, "off", "deadline")
    assert search(in_time, engine, LONG).applied
    assert engine.asked == ["online", "off", "online"]


def test_what_is_not_to_be_re_ranked_has_no_reason_and_other_galleries_do_not_matter(engine):
    in_time = InTime(engine)
    search(in_time, engine, LONG)
    assert search(in_time, engine, 1.0, rerank="off").reason_skipped is None
    engine.seconds["online"] = 0.5
    assert search(in_time, engine, 1.0, gallery="another").applied
    in_time.forget("g")
    assert search(in_time, engine, 1.0).applied


def test_once_it_is_quicker_it_is_found_out(engine):
    in_time = InTime(engine)
    search(in_time, engine, LONG)
    engine.seconds["online"] = 0.2
    applied = [search(in_time, engine, 1.0).applied for _ in range(20)]
    assert applied == sorted(applied)
    assert (applied[0], applied[-1]) == (False, True)


def test_an_answer_after_the_deadline_is_none(engine):
    in_time = InTime(engine)
    with pytest.raises(DeadlineExceededError):
        search(in_time, engine, 1.0)  # nobody knew yet that re-ranking takes longer


def test_over_http_it_is_told_and_counted(served, gallery, monkeypatch):
    asked = {"item_id": "p0/0"}
    assert served.client.post(f"{gallery}/search", json=asked).json()["rerank"]["applied"]
    in_time = served.service.running.in_time
    name = gallery.rpartition("/")[2]
    in_time._took[name] = LONG
    answer = served.client.post(f"{gallery}/search", json=asked)
    assert answer.status_code == 200
    assert (answer.json()["rerank"]["applied"], answer.json()["rerank"]["reason_skipped"]) == (False, "deadline")
    assert answer.json()["results"][0]["distance_reranked"] is None
    assert 'vantage_rerank_skipped_total{reason="deadline"} 1.0' in served.client.get("/metrics").text
