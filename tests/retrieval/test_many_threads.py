"""What `ExactIndex` and `ReciprocalGraph` promise to many threads that ask while one changes."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from retrieval import keyed_rows
from retrieval.exact_index import ExactIndex
from retrieval.keyed_rows import KeyedRows
from retrieval.rerank import ReciprocalGraph, RerankSettings, changes, graph, segments
from retrieval.rerank.items import Items
from retrieval.rerank.segments import Segments

KINDS = [ExactIndex, ReciprocalGraph]


@pytest.fixture
def restless():
    """Threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def build(kind, vectors):
    if kind is ExactIndex:
        return ExactIndex.build(vectors.copy())
    return ReciprocalGraph.build(vectors.copy(), settings=RerankSettings(6, 3, 0.3))


def ways(kind):
    """What is asked: each takes the index or graph and probes, and gives a Ranking or keys."""
    third = np.arange(0, 1000, 3)
    every = [
        lambda of, probes: of.search(probes, 60),
        lambda of, probes: of.search(probes, 60, allowed=third),
        lambda of, probes: of.keys,
    ]
    ranks = [
        lambda of, probes: of.rank(probes, 60),
        lambda of, probes: of.rank(probes, 60, allowed=third),
    ]
    return every if kind is ExactIndex else every + ranks


def changes_for(kind, people, size, count):
    """`count` changes, the same for every caller: additions (some of them twins), removals and the rest."""
    rng = np.random.default_rng(3)
    crowd = people(4 * count, seed=8)
    present, following, out = list(range(size)), size, []
    for n in range(count):
        act = rng.random()
        if act < 0.45:
            keys = np.arange(following, following + int(rng.integers(1, 5)))
            rows = crowd[keys - size]
            rows[-1] = crowd[0]  # again and again the same vector: ties
            following = int(keys[-1]) + 1
            present += keys.tolist()
            out.append(lambda of, keys=keys, rows=rows: of.add(keys, rows))
        elif act < 0.8:
            gone = rng.choice(present, size=int(rng.integers(1, 4)), replace=False).tolist()
            present = [key for key in present if key not in gone]
            out.append(lambda of, gone=gone: of.remove(gone))
        elif n % 7 == 0 or kind is ExactIndex:
            out.append(lambda of: of.compact())
        else:
            out.append(lambda of: of.refresh(limit=10))
    return out


def same(ours, expected):
    if isinstance(expected, np.ndarray):
        return np.array_equal(ours, expected)
    if not np.array_equal(ours.ids, expected.ids):
        return False
    return np.allclose(ours.order, expected.order, atol=2e-6)


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_is_that_of_one_state_between_its_question_and_its_end(kind, people, monkeypatch):
    """A removed key never comes after its removal returned, and what an addition brought is there once it returned."""
    monkeypatch.setattr(segments, "OPEN_SIZE", 5)
    gallery = people(120)
    probes = np.concatenate((people(2, seed=8), gallery[:2]))  # the first of seed 8 is added again and again
    todo = changes_for(kind, people, len(gallery), 60)
    alone, asked = build(kind, gallery), ways(kind)
    expected = [[way(alone, probes) for way in asked]]
    for change in todo:
        change(alone)
        expected.append([way(alone, probes) for way in asked])

    shared = build(kind, gallery)
    begun = finished = 0
    answered, over = threading.Event(), threading.Event()

    def ask(seed):
        seen, n = set(), seed
        try:
            while not over.is_set():
                n += 1
                way = n % len(asked)
                first = finished
                answer = asked[way](shared, probes)
                possible = range(first, begun + 1)
                held = {state for state in possible if same(answer, expected[state][way])}
                assert held, f"an answer to way {way} of none of the states {possible}"
                seen |= held
                answered.set()
        finally:
            answered.set()
        return seen

    with ThreadPoolExecutor(3) as pool:
        askers = [pool.submit(ask, seed) for seed in range(3)]
        try:
            for change in todo:
                answered.wait(30)  # so that the changes do not run away from the questions
                answered.clear()
                if any(asker.done() for asker in askers):
                    break  # it failed
                begun += 1
                change(shared)
                finished += 1
        finally:
            over.set()
        seen = set.union(*(asker.result() for asker in askers))
    assert len(seen) > 10, "questions were asked while changes were made"
    assert [same(way(shared, probes), last) for way, last in zip(asked, expected[-1], strict=True)] == [True] * len(
        asked
    )


EXPENSIVE = {
    "add": [(changes, "search_rows"), (changes, "encode"), (Items, "averaged"), (Segments, "touched")],
    "refresh": [(changes, "search_rows"), (changes, "encode"), (Items, "averaged"), (changes, "_mark_outdated")],
    "remove": [(KeyedRows, "without"), (Items, "_close_lists")],
    "compact": [(changes, "refreshed"), (Items, "averaged")],
    "save": [(Items, "averaged"), (graph, "write_arrays")],
}


PLACES = [(change, *place) for change in EXPENSIVE for place in EXPENSIVE[change]]


@pytest.mark.parametrize(("change", "where", "name"), PLACES)
def test_whoever_asks_in_the_midst_of_a_change_is_answered_as_before_it(
    change, where, name, people, monkeypatch, tmp_path
):
    gallery, probes = people(150), people(3, seed=5)
    ours = ReciprocalGraph.build(gallery, settings=RerankSettings(6, 3, 0.3))
    ours.remove([5, 9])
    act = {
        "add": lambda: ours.add([200], probes[:1]),
        "refresh": ours.refresh,
        "remove": lambda: ours.remove(ours.search(probes, 1).ids[0]),
        "compact": ours.compact,
        "save": lambda: ours.save(tmp_path / "graph"),
    }[change]
    before, stale, answers = ours.rank(probes, 30), ours.stale, []

    def ask():
        answers.append((ours.rank(probes, 30), ours.stale, len(ours.explain(probes[0], [1])), ours.keys, len(ours)))

    real = getattr(where, name)

    def asked_within(*arguments, **named):
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive(), "a question waits for a change"
        return real(*arguments, **named)

    monkeypatch.setattr(where, name, asked_within)
    act()
    assert answers, "the change went another way"
    written = change == "save" and name == "write_arrays"  # compacted already
    for answer, marked, explained, keys, count in answers:
        if not written:
            np.testing.assert_array_equal(answer.ids, before.ids)
            np.testing.assert_array_equal(answer.reranked, before.reranked)
        assert (marked, explained, len(keys), count) == (0 if written else stale, 1, 148, 148)


@pytest.mark.parametrize("kind", KINDS)
def test_a_removal_returns_when_the_questions_under_way_are_answered_with_whole_vectors(kind, people, monkeypatch):
    gallery = people(80)
    ours = build(kind, gallery)
    ours.add([80], people(1, seed=4))  # into vectors of its own
    before = ours.search(gallery[:1], 5)
    under_way, go_on, order, answers = threading.Event(), threading.Event(), [], []
    real = keyed_rows.search_rows

    def slowly(*arguments, **named):
        under_way.set()
        go_on.wait(30)
        return real(*arguments, **named)

    def ask():
        answers.append(ours.search(gallery[:1], 5))
        order.append("answered")

    def remove():
        ours.remove([0])
        order.append("removed")

    with monkeypatch.context() as patch:
        patch.setattr(keyed_rows, "search_rows", slowly)
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        under_way.wait(30)
    publish, published = ours._versions.publish, threading.Event()
    monkeypatch.setattr(ours._versions, "publish", lambda value: (publish(value), published.set()))
    removing = threading.Thread(target=remove, daemon=True)
    removing.start()
    assert published.wait(30)
    assert 0 not in ours.keys, "gone for all who ask from here on, though not yet overwritten"
    assert 0 not in ours.search(gallery[:1], 5).ids
    assert order == []
    go_on.set()
    asking.join(30)
    removing.join(30)
    assert order == ["answered", "removed"]
    np.testing.assert_array_equal(answers[0].ids, before.ids)
    np.testing.assert_array_equal(answers[0].distances, before.distances)
    assert not (ours._versions.now.vectors == gallery[0]).all(axis=1).any()


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("kind", KINDS)
def test_changes_from_several_threads_come_one_after_another(kind, people):
    gallery = people(90)
    ours = build(kind, gallery)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda key: ours.remove([key]), range(0, 90, 3)))
    kept = np.setdiff1d(np.arange(90), np.arange(0, 90, 3))
    np.testing.assert_array_equal(ours.keys, kept)
    if kind is ReciprocalGraph:
        ours.refresh()
        anew = ReciprocalGraph.build(gallery[kept], kept, ours.settings)
        assert same(ours.rank(gallery[:5], 20), anew.rank(gallery[:5], 20))


@pytest.mark.parametrize("broken", [(changes, "search_rows"), (changes, "encode"), (Items, "averaged")])
def test_a_change_that_fails_half_way_leaves_everything_as_it_was_and_can_be_made_again(broken, people, monkeypatch):
    gallery, probes = people(100), people(3, seed=5)
    ours, other = (ReciprocalGraph.build(gallery.copy(), settings=RerankSettings(6, 3, 0.3)) for _ in range(2))
    for one in (ours, other):
        one.add([100], people(1, seed=4))
        one.remove([7])
    before = ours.rank(probes, 99)

    def fail(*arguments, **named):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(*broken, fail)
        for change in (lambda: ours.add([101, 102], probes[:2]), ours.refresh, ours.compact):
            with pytest.raises(MemoryError):
                change()
    np.testing.assert_array_equal(ours.rank(probes, 99).reranked, before.reranked)
    for one in (ours, other):
        one.add([101], probes[2:])
        one.refresh()
    assert same(ours.rank(probes, 100), other.rank(probes, 100))
