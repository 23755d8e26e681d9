import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import RetrievalError
from retrieval.exact_index import ExactIndex
from retrieval.rerank import ReciprocalGraph
from retrieval.similarity import pair_similarities


def literal_search(vectors, probe, top):
    """The keys of a dictionary {key: vector}, nearest first, ties by key."""
    keys = sorted(vectors)
    rows = np.stack([vectors[key] for key in keys])
    similarity = pair_similarities(probe[None], np.zeros(len(keys), int), rows, np.arange(len(keys)))
    return [keys[n] for n in sorted(range(len(keys)), key=lambda n: (-similarity[n], keys[n]))][:top]


@given(st.integers(0, 2**32 - 1), st.integers(0, 20))
@settings(deadline=None, max_examples=40)
def test_after_random_changes_it_finds_what_a_dictionary_would(seed, size):
    rng = np.random.default_rng(seed)

    def draw(count):  # few distinct vectors, so that ties are many
        rows = rng.integers(-1, 2, (count, 3)) + np.array([0.25, 0.5, 2.0])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    start, probes = draw(size), draw(3)
    index, vectors, following = ExactIndex.build(start.copy()), dict(enumerate(start)), size
    for _ in range(15):
        act = rng.random()
        if act < 0.5 or len(vectors) < 2:
            new = draw(int(rng.integers(1, 6)))
            keys = np.arange(following, following + len(new))
            index.add(keys, new)
            vectors.update(zip(keys.tolist(), new, strict=True))
            following += len(new)
        elif act < 0.9:
            gone = rng.choice(sorted(vectors), size=int(rng.integers(1, len(vectors))), replace=False)
            index.remove(gone)
            for key in gone.tolist():
                del vectors[key]
        else:
            index.compact()
        top = int(rng.integers(1, 12))
        allowed = [key for key in vectors if rng.random() < 0.4]
        ranking, within = index.search(probes, top), index.search(probes, top, allowed=allowed)
        for n, probe in enumerate(probes):
            assert ranking.ids[n].tolist() == literal_search(vectors, probe, top)
            few = literal_search({key: vectors[key] for key in allowed}, probe, top) if allowed else []
            assert within.ids[n, : within.counts[n]].tolist() == few
        assert index.keys.tolist() == sorted(vectors)
        assert len(index) == len(vectors)
        np.testing.assert_array_equal(index.vectors_of(index.keys), [vectors[key] for key in sorted(vectors)])


def test_it_answers_as_the_graph_does(people):
    gallery, probes = people(300), people(5, seed=5)
    index, graph = ExactIndex.build(gallery), ReciprocalGraph.build(gallery)
    for one in (index, graph):
        one.remove([4, 50])
        one.add([300, 301], people(2, seed=6))
    for allowed in (None, [3, 4, 300], np.arange(0, 302, 2)):
        ours, theirs = index.search(probes, 20, allowed=allowed), graph.search(probes, 20, allowed=allowed)
        np.testing.assert_array_equal(ours.ids, theirs.ids)
        np.testing.assert_array_equal(ours.distances, theirs.distances)


@pytest.mark.parametrize("removed_before", [[], [2]])
def test_a_snapshot_is_of_its_moment_whatever_comes_later(people, removed_before):
    gallery = people(40)
    index = ExactIndex.build(gallery.copy())
    index.add(np.arange(40, 50), people(10, seed=4))  # from here on there is room for more
    index.remove(removed_before)
    everything = dict(zip(range(50), np.concatenate((gallery, people(10, seed=4))), strict=True))
    keys, vectors = index.snapshot()
    index.add([50], people(1, seed=9))
    index.remove([7, 50])
    index.compact()
    kept = [key for key in range(50) if key not in removed_before]
    assert keys.tolist() == kept
    np.testing.assert_array_equal(vectors, [everything[key] for key in kept])
    assert not keys.flags.writeable
    assert not vectors.flags.writeable
    assert 7 not in index.keys


def test_a_graph_of_a_snapshot_shares_its_vectors_until_one_of_the_two_removes(people):
    index = ExactIndex.build(people(60))
    index.add([60, 61], people(2, seed=4))
    keys, vectors = index.snapshot()
    graph = ReciprocalGraph.build(vectors, keys)
    assert np.shares_memory(graph._versions.now.vectors, index._versions.now.vectors)
    graph.remove([60])
    index.remove([61])
    np.testing.assert_array_equal(index.vectors_of([60]), vectors[60:61])
    np.testing.assert_array_equal(graph.vectors_of([61]), vectors[61:62])


def test_vectors_come_in_the_order_asked_for_and_are_the_askers_own(people):
    gallery = people(30)
    for made in (ExactIndex.build(gallery), ReciprocalGraph.build(gallery)):
        mine = made.vectors_of([9, 2, 9])
        np.testing.assert_array_equal(mine, gallery[[9, 2, 9]])
        mine[:] = 0
        np.testing.assert_array_equal(made.vectors_of([2]), gallery[[2]])
        assert made.vectors_of([]).shape == (0, 16)


def test_the_vector_of_a_removed_item_is_not_even_in_memory(people):
    index = ExactIndex.build(people(30))
    index.add(np.arange(30, 60), people(30, seed=4))
    for gone in (7, 33):
        vector = index.vectors_of([gone])[0]
        index.remove([gone])
        assert not (index._versions.now._store == vector).all(axis=1).any()


def test_an_empty_index_takes_items_but_answers_with_a_sentence(people):
    index = ExactIndex.build(np.zeros((0, 16), np.float32))
    with pytest.raises(RetrievalError, match="the gallery is empty: add items"):
        index.search(people(1), 3)
    index.add([4], people(1))
    assert index.search(people(2), 3).ids.tolist() == [[4], [4]]
    index.remove([4])
    index.compact()
    assert (len(index), index.dimension) == (0, 16)


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda index, rows: index.search(rows[:, :8] * 0 + 8**-0.5, 3), "8 dimensions and the index 16"),
        (lambda index, rows: index.search(rows, 0), "top is 0"),
        (lambda index, rows: index.search(rows * 2, 3), "probes row 0 has length 2"),
        (lambda index, rows: index.add([99], rows[:1, :8] * 0 + 8**-0.5), "8 dimensions and the index 16"),
        (lambda index, rows: index.add([5], rows[:1]), "key 5 cannot be added: the last key used is 29"),
        (lambda index, rows: index.remove([3, 77]), "the index has no item with key 77"),
        (lambda index, rows: index.vectors_of([77]), "the index has no item with key 77"),
        (lambda index, rows: ExactIndex.build(rows, np.arange(30)[::-1]), "keys must ascend"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence_and_changes_nothing(people, act, sentence):
    index = ExactIndex.build(people(30))
    with pytest.raises(RetrievalError, match=sentence):
        act(index, people(30))
    assert index.keys.tolist() == list(range(30))
