import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import RetrievalError
from retrieval.rerank import encoding, exact, k_reciprocal, k_reciprocal_blocks


def unit(rows):
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@st.composite
def crowds(draw):
    """Query and gallery in clusters; some vectors occur more than once."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    centres = rng.standard_normal((draw(st.integers(1, 5)), 6))
    distinct = draw(st.integers(1, 45))
    rows = unit(centres[rng.integers(len(centres), size=distinct)] + 0.7 * rng.standard_normal((distinct, 6)))
    return (
        rows[rng.integers(distinct, size=draw(st.integers(1, 6)))],
        rows[rng.integers(distinct, size=draw(st.integers(1, 45)))],
    )


@given(crowds(), st.integers(1, 24), st.integers(1, 8), st.sampled_from([0.0, 0.3, 1.0]))
@settings(deadline=None, max_examples=100)
def test_the_distances_are_those_of_the_literal_transcription(literal, crowd, k1, k2, lam):
    query, gallery = crowd
    expected = literal(query, gallery, k1, k2, lam)
    np.testing.assert_allclose(k_reciprocal(query, gallery, k1, k2, lam), expected, atol=2e-6)


def test_small_blocks_change_nothing(people, literal, monkeypatch):
    query, gallery = people(11, seed=1), people(60, seed=2)
    whole = k_reciprocal(query, gallery)
    np.testing.assert_allclose(whole, literal(query, gallery), atol=2e-6)
    monkeypatch.setattr(exact, "QUERIES", 4)
    monkeypatch.setattr(encoding, "BLOCK", 7)
    blocks = list(k_reciprocal_blocks(query, gallery))
    assert [start for start, _ in blocks] == [0, 4, 8]
    np.testing.assert_allclose(np.concatenate([block for _, block in blocks]), whole, atol=1e-6)


def test_all_queries_pooled_give_the_authors_result(reference):
    ours = k_reciprocal(reference["query"], reference["gallery"], 20, 6, 0.3)
    assert np.abs(ours - reference["joint"]).max() <= 1e-5


def test_one_query_at_a_time_gives_the_authors_result(reference):
    for row, expected in zip(reference["single_index"], reference["single"], strict=True):
        ours = k_reciprocal(reference["query"][row : row + 1], reference["gallery"], 20, 6, 0.3)
        assert np.abs(ours[0] - expected).max() <= 1e-5


def test_a_gallery_of_one_and_a_gallery_of_copies_are_ranked(people, literal):
    row = people(1)
    np.testing.assert_allclose(k_reciprocal(people(2, seed=1), row), literal(people(2, seed=1), row), atol=2e-6)
    copies = np.repeat(row, 40, axis=0)
    np.testing.assert_allclose(k_reciprocal(row, copies), literal(row, copies), atol=2e-6)


def test_float16_and_strided_input_gives_the_result_of_its_float32_copy(people):
    query, gallery = people(3, seed=1).astype(np.float16), people(40, seed=2).astype(np.float16)
    plain = k_reciprocal(query.astype(np.float32), gallery.astype(np.float32))
    np.testing.assert_array_equal(k_reciprocal(query, np.asfortranarray(gallery)), plain)
    np.testing.assert_array_equal(k_reciprocal(query, np.repeat(gallery, 2, axis=0)[::2]), plain)


@pytest.mark.parametrize("length", [0.9985, 1.0015])
def test_vectors_a_little_off_unit_length_are_still_at_no_distance_from_themselves(people, literal, length):
    gallery = people(40, seed=2) * np.float32(length)
    query = np.concatenate((people(3, seed=1) * np.float32(length), gallery[:2]))
    np.testing.assert_allclose(k_reciprocal(query, gallery), literal(query, gallery), atol=2e-6)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"query": np.zeros((0, 16))}, "the query is empty"),
        ({"gallery": np.zeros((0, 16))}, "the gallery is empty"),
        ({"gallery": unit(np.ones((3, 8)))}, "16 dimensions and the gallery 8"),
        ({"gallery": np.full((3, 16), np.nan)}, "gallery row 0 holds NaN"),
        ({"gallery": np.ones((3, 16))}, "gallery row 0 has length 4"),
        ({"k1": 0}, "k1 is 0"),
        ({"k2": 0}, "k2 is 0"),
        ({"lam": 1.5}, "lam is 1.5"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_what_cannot_be_reranked_is_refused_in_a_sentence(people, change, sentence):
    arguments = {"query": people(2), "gallery": people(5)} | change
    with pytest.raises(RetrievalError, match=sentence):
        k_reciprocal(**arguments)
