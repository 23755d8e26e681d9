"""`nearest` against a full sort of every similarity, one pair at a time."""

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval import exact_search
from retrieval.errors import RetrievalError
from retrieval.exact_search import search_rows
from retrieval.neighbours import nearest
from retrieval.similarity import pair_similarities


def sorted_by_hand(queries, gallery, k, hidden=lambda q, g: False):
    """Each query's k best as (index, similarity): all pairs, sorted by similarity, then index."""
    out = []
    for q in range(len(queries)):
        every = [
            (-float(pair_similarities(queries, np.array([q]), gallery, np.array([g]))[0]), g)
            for g in range(len(gallery))
            if not hidden(q, g)
        ]
        out.append([(g, -minus) for minus, g in sorted(every)[:k]])
    return out


def assert_same(found, by_hand, k):
    for row, expected in enumerate(by_hand):
        missing = k - len(expected)
        assert found.indices[row].tolist() == [g for g, _ in expected] + [-1] * missing
        assert found.similarities[row].tolist() == [s for _, s in expected] + [-np.inf] * missing


def unit(rows):
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@st.composite
def sides(draw):
    """Queries and gallery drawn from few distinct vectors, so that equal ones and ties are common."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    distinct = unit(rng.standard_normal((draw(st.integers(1, 12)), 5)))
    return (
        distinct[rng.integers(len(distinct), size=draw(st.integers(1, 7)))],
        distinct[rng.integers(len(distinct), size=draw(st.integers(1, 40)))],
    )


@given(sides(), st.integers(1, 25), st.integers(1, 60))
@settings(deadline=None, max_examples=80)
def test_the_nearest_are_those_of_a_full_sort_whatever_the_tiles(both, k, tile):
    queries, gallery = both
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact_search, "TILE", tile)
        patch.setattr(exact_search, "ROWS", 3)
        patch.setattr(exact_search, "SPARE", 1)
        patch.setattr(exact_search, "MORE_SPARE", 3)
        found = nearest(queries, gallery, k)
    assert_same(found, sorted_by_hand(queries, gallery, k), k)
    whole = queries @ gallery.T
    np.testing.assert_allclose(found.lowest, whole.min(axis=1), atol=1e-6)
    np.testing.assert_allclose(whole[np.arange(len(whole)), found.farthest], whole.min(axis=1), atol=1e-6)


@given(sides(), st.integers(1, 25))
@settings(deadline=None, max_examples=60)
def test_no_row_is_its_own_neighbour_when_self_is_excluded(both, k):
    _, gallery = both
    found = nearest(gallery, gallery, k, exclude_self=True)
    assert_same(found, sorted_by_hand(gallery, gallery, k, hidden=lambda q, g: q == g), k)


@given(sides(), st.integers(1, 10), st.data())
@settings(deadline=None, max_examples=60)
def test_dead_rows_are_neither_found_nor_counted_as_farthest(both, k, data):
    queries, gallery = both
    dead = np.array(sorted(data.draw(st.sets(st.integers(0, len(gallery) - 1), max_size=len(gallery) - 1))), np.intp)
    found = search_rows(queries, gallery, k, dead=dead)
    assert_same(found, sorted_by_hand(queries, gallery, k, hidden=lambda q, g: g in dead), k)
    assert not np.isin(found.farthest, dead).any()


def test_more_ties_than_are_kept_spare_still_end_in_the_first_of_them(people):
    row = people(1)
    gallery = np.concatenate((people(20, seed=1), np.repeat(row, 700, axis=0)))
    assert nearest(row, gallery, 5).indices.tolist() == [[20, 21, 22, 23, 24]]


@pytest.mark.parametrize("copies", [12, 40, 700])
def test_nearer_items_that_come_later_push_out_the_last_of_the_ties_and_not_the_first(copies):
    east, north = np.eye(2, dtype=np.float32)
    tied, nearer = unit(np.array([3 * east + 4 * north])), unit(np.array([4 * east + 3 * north]))
    gallery = np.concatenate((np.repeat(tied, copies, axis=0), np.repeat(nearer, 9, axis=0)))
    assert nearest(east[None], gallery, 11).indices.tolist() == [[*range(copies, copies + 9), 0, 1]]


def test_a_query_gets_the_same_bits_alone_and_in_a_batch(people):
    gallery, queries = people(300, dimensions=64), people(40, dimensions=64, seed=3)
    together = nearest(queries, gallery, 10)
    for n in range(len(queries)):
        alone = nearest(queries[n : n + 1], gallery, 10)
        np.testing.assert_array_equal(alone.indices[0], together.indices[n])
        np.testing.assert_array_equal(alone.similarities[0], together.similarities[n])


def test_watch_is_shown_every_similarity_once(people):
    queries, gallery = people(5), people(23, seed=1)
    seen = np.full((5, 23), np.nan)

    def watch(row, column, tile):
        part = seen[row : row + tile.shape[0], column : column + tile.shape[1]]
        assert np.isnan(part).all()
        part[:] = tile

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact_search, "TILE", 12)
        patch.setattr(exact_search, "ROWS", 2)
        search_rows(queries, gallery, 3, watch=watch)
    np.testing.assert_allclose(seen, queries @ gallery.T, atol=1e-6)


def test_float16_and_strided_input_is_searched_like_its_float32_copy(people):
    queries, gallery = people(4), people(30, seed=2)
    plain = nearest(queries, gallery, 6)
    np.testing.assert_array_equal(nearest(np.asfortranarray(queries), gallery[::-1][::-1], 6).indices, plain.indices)
    half = gallery.astype(np.float16)
    np.testing.assert_array_equal(
        nearest(queries, half, 6).indices, nearest(queries, half.astype(np.float32), 6).indices
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"gallery": np.zeros((0, 16))}, "the gallery is empty: add items"),
        ({"gallery": unit(np.ones((3, 8)))}, "queries have 16 dimensions and the gallery 8"),
        ({"k": 0}, "k is 0: ask for at least 1"),
        ({"threads": 0}, "threads is 0"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"exclude_self": True}, "not 4 and 30"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_a_sentence(people, change, sentence):
    arguments = {"queries": people(4), "gallery": people(30), "k": 3} | change
    with pytest.raises(RetrievalError, match=sentence):
        nearest(**arguments)


def gpus():
    return getattr(faiss, "get_num_gpus", lambda: 0)()


@pytest.mark.skipif(gpus() > 0, reason="there is a GPU here, so asking for it is no error")
def test_asking_for_a_gpu_that_is_not_there_is_an_error_and_not_a_fallback(people):
    with pytest.raises(RetrievalError, match="faiss sees none"):
        nearest(people(2), people(5), 1, device="gpu")


@pytest.mark.gpu
@pytest.mark.skipif(gpus() == 0, reason="faiss sees no GPU here")
def test_a_gpu_finds_what_the_processor_finds(people):
    queries, gallery = people(70, dimensions=64), people(5000, dimensions=64, seed=1)
    on_gpu, on_cpu = (nearest(queries, gallery, 21, device=device) for device in ("gpu", "cpu"))
    np.testing.assert_array_equal(on_gpu.indices, on_cpu.indices)
    np.testing.assert_array_equal(on_gpu.similarities, on_cpu.similarities)
    np.testing.assert_allclose(on_gpu.lowest, on_cpu.lowest, atol=1e-5)
