from collections.abc import Callable

import numpy as np
import pytest

from models.card import Card
from models.embeddings import Embeddings, checked_viewpoints, unit_vectors
from models.errors import EmbeddingError

Cards = Callable[..., Card]


def test_rows_become_unit_vectors_in_float32(make_card: Cards) -> None:
    raw = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float16) * 100
    vectors = unit_vectors(raw, 0, make_card(normalised=False))
    expected = np.array([row / np.sqrt(sum(float(x) ** 2 for x in row)) for row in raw.astype(float)])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-9, 1e30])
def test_very_short_and_very_long_vectors_are_brought_to_length_1(make_card: Cards, scale: float) -> None:
    raw = np.full((1, 6), scale, np.float32)
    np.testing.assert_allclose(unit_vectors(raw, 0, make_card(normalised=False)), np.full((1, 6), 6**-0.5), rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused_with_the_place_of_the_crop(make_card: Cards, bad: float) -> None:
    raw = np.eye(6, dtype=np.float32)
    raw[2, 4] = bad
    with pytest.raises(EmbeddingError, match="the embedding of crop 12 holds NaN or infinity"):
        unit_vectors(raw, 10, make_card())


def test_a_zero_vector_is_refused_with_the_place_of_the_crop(make_card: Cards) -> None:
    raw = np.eye(6, dtype=np.float32)
    raw[3] = 0
    with pytest.raises(EmbeddingError, match="the embedding of crop 13 is a zero vector"):
        unit_vectors(raw, 10, make_card(normalised=False))


def test_a_graph_that_does_not_normalise_as_the_card_says_is_found_out(make_card: Cards) -> None:
    raw = np.eye(6, dtype=np.float32)
    raw[1] *= 1.5
    with pytest.raises(EmbeddingError, match=r"crop 1 has length 1\.5, .* set embedding\.normalised to false"):
        unit_vectors(raw, 0, make_card())
    unit_vectors(raw, 0, make_card(normalised=False))


def test_viewpoints_are_shares(make_card: Cards) -> None:
    good = np.array([[0.2, 0.3, 0.5], [1, 0, 0]])
    assert (checked_viewpoints(good, 0) == good.astype(np.float32)).all()
    for row in ([0.5, 0.6, 0.7], [-0.5, 0.5, 1.0], [0, 0, 0]):
        with pytest.raises(EmbeddingError, match=r"the viewpoint of crop 6 is .*, not 3 shares that sum to 1"):
            checked_viewpoints(np.array([good[0], row]), 5)
    with pytest.raises(EmbeddingError, match="the viewpoint of crop 0 holds NaN"):
        checked_viewpoints(np.array([[np.nan, 0, 1]]), 0)


def test_embeddings_cannot_be_changed() -> None:
    vectors = np.eye(3, dtype=np.float32)
    embeddings = Embeddings(vectors, None)
    vectors[:] = 9
    assert embeddings.vectors.max() == 1
    assert len(embeddings) == 3
    with pytest.raises(ValueError, match="read-only"):
        embeddings.vectors[0] = 0
