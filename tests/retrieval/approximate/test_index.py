"""`ApproximateIndex` beside a literal search: every pair compared, in a loop over what is there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.approximate import KINDS, ApproximateIndex
from retrieval.approximate.faiss_finder import FaissFinder
from retrieval.errors import RetrievalError
from retrieval.exact_index import ExactIndex

every_kind = pytest.mark.parametrize("kind", KINDS)


def brute_force(items, probe, top):
    """`items` {key: vector}: the nearest keys and 2 - 2 cos, the smaller key first among equals."""
    pairs = sorted((max(2 - 2 * float(np.dot(vector, probe)), 0.0), key) for key, vector in items.items())
    return [key for _, key in pairs[:top]], [distance for distance, _ in pairs[:top]]


@pytest.fixture(scope="module")
def gallery(people):
    return people(3000, of=150, dimensions=32, seed=1)


@pytest.fixture(scope="module")
def probes(people):
    return people(3000 + 40, of=150, dimensions=32, seed=1)[-40:]


@pytest.fixture(scope="module")
def indexes(gallery):
    """One index of each kind that no test changes; its keys are 0, 3, 6 ..."""
    return {kind: ApproximateIndex.build(kind, gallery, np.arange(len(gallery)) * 3) for kind in KINDS}


@pytest.fixture
def small(people):
    return people(400, of=40, dimensions=16, seed=2)


def share_found(index, probes, truth, **how):
    found = index.search(probes, truth.shape[1], **how).ids
    return np.mean([np.isin(want, have).mean() for want, have in zip(truth, found, strict=True)])


@every_kind
def test_recall_against_exact_search_is_what_was_asked_for_and_what_the_index_says(indexes, gallery, probes, kind):
    index = indexes[kind]
    assert index.recall >= 0.99
    truth = ExactIndex.build(gallery, np.arange(len(gallery)) * 3).search(probes, 10).ids
    assert share_found(index, probes, truth) >= 0.98
    assert index.search(probes, 10, exact=True).ids.tolist() == truth.tolist()
    assert index.parameters[index._versions.now.finder.effort_means] == index.tuning.effort


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_a_higher_target_makes_a_search_look_at_more(people, kind):
    strangers = people(1500, of=1500, dimensions=24)
    low, high = (ApproximateIndex.build(kind, strangers, target_recall=target) for target in (0.6, 0.99))
    assert 0.6 <= low.recall < high.recall
    assert low.tuning.effort < high.tuning.effort
    assert low.tune(0.99) >= 0.99
    assert low.tuning.effort == pytest.approx(high.tuning.effort, rel=0.3)


@every_kind
def test_distances_are_those_of_the_exact_search_to_the_last_bit(indexes, gallery, probes, kind):
    exact = ExactIndex.build(gallery, np.arange(len(gallery)) * 3).search(probes, 100)
    found = indexes[kind].search(probes, 10)
    known = {
        (n, key): bits for n in range(len(probes)) for key, bits in zip(exact.ids[n], exact.distances[n], strict=True)
    }
    shared = [(n, rank) for n in range(len(probes)) for rank in range(10) if (n, found.ids[n, rank]) in known]
    assert len(shared) > 300
    assert all(known[n, found.ids[n, rank]] == found.distances[n, rank] for n, rank in shared)


@every_kind
def test_a_probe_gets_the_same_answer_alone_and_in_a_batch(indexes, probes, kind):
    together = indexes[kind].search(probes, 10)
    for n in range(len(probes)):
        alone = indexes[kind].search(probes[n : n + 1], 10)
        assert alone.ids[0].tolist() == together.ids[n].tolist()
        assert alone.distances[0].tolist() == together.distances[n].tolist()


@every_kind
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_a_filter_is_a_promise(indexes, gallery, kind, data):
    """Nothing outside the filter, and as many as there are; from nobody allowed to everybody."""
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    share = data.draw(st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.2, 0.6, 0.999, 1.0]))
    top = data.draw(st.sampled_from([1, 10, 700]))
    widen = data.draw(st.sampled_from([0.1, 1, 3]))
    keys = np.arange(len(gallery)) * 3
    allowed = keys[rng.random(len(keys)) < share]
    asked = np.concatenate((allowed, rng.integers(-5, 20_000, 30) * 3 + 1))  # and keys that are nobody's
    probe = gallery[rng.integers(len(gallery))][None]
    ranking = indexes[kind].search(probe, top, allowed=rng.permutation(asked), widen=widen)
    assert np.isin(ranking.ids, allowed).all()
    assert ranking.ids.shape == (1, min(top, len(allowed)))
    mask = np.zeros(data.draw(st.sampled_from([1, 5000, 9001])), np.bool_)
    within = allowed[allowed < len(mask)]
    mask[within] = True
    masked = indexes[kind].search(probe, top, allowed=mask, widen=widen)
    assert np.isin(masked.ids, within).all()
    assert masked.ids.shape == (1, min(top, len(within)))


@every_kind
def test_where_few_are_allowed_the_answer_is_exact(indexes, gallery, probes, kind):
    allowed = np.arange(0, 3 * len(gallery), 3 * 80)
    items = {key: gallery[key // 3] for key in allowed.tolist()}
    ranking = indexes[kind].search(probes, 7, allowed=allowed)
    for n, probe in enumerate(probes):
        keys, distances = brute_force(items, probe, 7)
        assert ranking.ids[n].tolist() == keys
        np.testing.assert_allclose(ranking.distances[n], distances, atol=1e-5)


@every_kind
def test_recall_holds_under_a_filter_too(indexes, gallery, probes, kind):
    allowed = np.random.default_rng(4).permutation(len(gallery))[:900] * 3
    exact = indexes[kind].search(probes, 10, allowed=allowed, exact=True).ids
    assert share_found(indexes[kind], probes, exact, allowed=allowed) >= 0.95


@every_kind
def test_equal_items_are_ordered_by_key(small, kind):
    index = ApproximateIndex.build(kind, np.concatenate((small, small[:3], small[:3])))
    ranking = index.search(small[:3], 3)
    assert ranking.ids.tolist() == [[n, 400 + n, 403 + n] for n in range(3)]
    assert (ranking.distances < 1e-6).all()


@every_kind
def test_of_more_equal_items_than_are_asked_for_the_first_are_returned(small, kind):
    index = ApproximateIndex.build(kind, np.concatenate((np.repeat(small[:1], 6, axis=0), small)))
    assert index.search(small[:1], 4, widen=100).ids.tolist() == [[0, 1, 2, 3]]


@every_kind
@settings(deadline=None, max_examples=12)
@given(data=st.data())
def test_whatever_is_added_is_found_and_whatever_is_removed_is_not(people, kind, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    pool = people(400, of=30, dimensions=16, seed=3)
    start = data.draw(st.integers(60, 200))
    index = ApproximateIndex.build(kind, pool[:start])
    items = dict(enumerate(pool[:start]))
    following = start
    for step in data.draw(st.lists(st.sampled_from(["add", "remove", "compact", "tune"]), min_size=3, max_size=8)):
        if step == "add":
            count = int(rng.integers(1, 25))
            keys = np.arange(following, following + count)
            index.add(keys, pool[keys])
            items |= {int(key): pool[key] for key in keys}
            following += count
        elif step == "remove":
            gone = rng.choice(list(items), int(rng.integers(1, 20)), replace=False)
            index.remove(gone)
            for key in gone.tolist():
                del items[key]
        elif step == "compact":
            index.compact()
            assert index.holes == 0
        else:
            assert index.tune() >= 0.99
        assert len(index) == len(items)
        assert index.keys.tolist() == list(items)
        everything = index.search(pool[:1], 1000, widen=1000).ids[0]
        assert sorted(everything.tolist()) == sorted(items)
        some = rng.choice(list(items), 10)
        nearest = index.search(np.stack([items[key] for key in some.tolist()]), 1)
        assert np.mean(nearest.ids[:, 0] == some) >= 0.9
        assert all(key in items for key in index.search(pool[200:220], 10).ids.ravel().tolist())


@every_kind
def test_a_filter_that_allows_removed_items_does_not_bring_them_back(small, kind):
    index = ApproximateIndex.build(kind, small)
    index.remove(np.arange(0, 400, 2))
    for allowed in (np.arange(400), np.arange(30), np.ones(400, np.bool_), np.ones(30, np.bool_)):
        assert (index.search(small[:2], 400, allowed=allowed).ids % 2 == 1).all()


@every_kind
def test_the_share_of_removed_items_is_told(small, kind):
    index = ApproximateIndex.build(kind, small)
    index.remove(np.arange(0, 400, 4))
    assert index.holes == 0.25
    index.compact()
    assert index.holes == 0
    assert len(index) == 300


@every_kind
def test_removed_items_are_not_found_however_many_they_are(small, kind):
    index = ApproximateIndex.build(kind, small)
    index.remove(np.arange(5, 400))
    assert sorted(index.search(small[300:301], 10).ids[0].tolist()) == [0, 1, 2, 3, 4]
    index.remove(np.arange(5))
    with pytest.raises(RetrievalError, match="the gallery is empty"):
        index.search(small[:1], 1)


def test_signs_leave_nothing_of_a_removed_item_in_memory(small):
    index = ApproximateIndex.build("signs", small)
    index.remove([7])
    now = index._versions.now
    assert not now.vectors[7].any()
    assert not now.finder._signs[7].any()
    assert now.finder._signs[8].any()


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_an_addition_that_broke_off_hides_nothing_and_is_repaired_by_compacting(small, kind, monkeypatch):
    index = ApproximateIndex.build(kind, small[:200])
    before = index.search(small[:20], 10)
    turns = iter([True, False])

    def full(self, vectors):
        if next(turns):
            return original(self, vectors)
        raise MemoryError

    faiss_index = type(index._versions.now.finder._index)
    original = faiss_index.add
    monkeypatch.setattr(faiss_index, "add", full)
    with pytest.raises(MemoryError):
        index.add(np.arange(200, 400), small[200:])
    monkeypatch.undo()
    assert index.search(small[:20], 10).ids.tolist() == before.ids.tolist() or len(index) == 200
    assert index.search(small[:20], 10).ids.max() < 200
    with pytest.raises(RetrievalError, match="broke off half-way"):
        index.add([200], small[200:201])
    assert len(index) == 200
    index.compact()
    index.add(np.arange(200, 400), small[200:])
    assert (index.search(small[200:], 1).ids[:, 0] == np.arange(200, 400)).mean() > 0.95


@every_kind
@pytest.mark.parametrize("count", [1, 2, 3, 12, 50])
def test_the_smallest_galleries_work(people, kind, count):
    rows = people(count, of=3, dimensions=8)
    index = ApproximateIndex.build(kind, rows)
    assert index.recall >= 0.99
    assert (index.search(rows, 1).ids[:, 0] == np.arange(count)).all()


@pytest.mark.parametrize("kind", ["signs", "hnsw"])
def test_an_index_may_begin_empty(small, kind):
    index = ApproximateIndex.build(kind, small[:0])
    index.add(np.arange(400), small)
    index.tune()
    assert index.recall >= 0.99
    assert (index.search(small, 1).ids[:, 0] == np.arange(400)).mean() > 0.98


def test_vectors_that_all_point_much_the_same_way_are_no_harder(people):
    rows = np.abs(people(2000, of=100, dimensions=32)) + 1.5
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = ApproximateIndex.build("signs", rows, target_recall=0.98)
    assert index.recall >= 0.98
    assert index.parameters == {"bits": 512, "candidates": 128}  # without the centre more of them are needed


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda rows: ApproximateIndex.build("tree", rows), "kind is 'tree': use one of half, signs, hnsw, ivf, gpu"),
        (lambda rows: ApproximateIndex.build("signs", rows, target_recall=1.2), "target_recall is 1.2"),
        (lambda rows: ApproximateIndex.build("signs", rows, np.arange(400)[::-1]), "keys must ascend"),
        (lambda rows: ApproximateIndex.build("signs", 2 * rows), "expected 1"),
        (lambda rows: ApproximateIndex.build("ivf", rows[:0]), "there are none: use another kind"),
        (lambda rows: ApproximateIndex.build("signs", rows).search(rows[:, :4], 1), "divide each vector|dimensions"),
        (lambda rows: ApproximateIndex.build("signs", rows).search(rows[:1], 0), "top is 0"),
        (lambda rows: ApproximateIndex.build("signs", rows).search(rows[:1], 1, widen=0), "widen is 0"),
        (lambda rows: ApproximateIndex.build("signs", rows).add([3], rows[:1]), "keys are never used again"),
        (lambda rows: ApproximateIndex.build("signs", rows).remove([999]), "no item with key 999"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(small, wrong, sentence):
    with pytest.raises(RetrievalError, match=sentence):
        wrong(small)


def test_progress_is_told_to_the_end(small):
    seen = []
    ApproximateIndex.build("hnsw", small, progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (400, 400)
    assert issubclass(type(ApproximateIndex.build("ivf", small)._versions.now.finder), FaissFinder)
