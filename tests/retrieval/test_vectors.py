import numpy as np
import pytest

from retrieval.errors import RetrievalError
from retrieval.vectors import squared_distance, unit_rows


def test_unit_rows_are_handed_on_without_a_copy(people):
    rows = people(5)
    assert unit_rows(rows) is rows


def test_other_layouts_and_types_become_contiguous_float32(people):
    rows = people(6)
    for given in (rows.astype(np.float64), np.asfortranarray(rows), np.repeat(rows, 2, axis=0)[::2], rows.tolist()):
        taken = unit_rows(given)
        assert taken.dtype == np.float32
        assert taken.flags.c_contiguous
        np.testing.assert_allclose(taken, rows, atol=1e-7)


def test_vectors_stored_as_float16_still_count_as_unit_length(people):
    unit_rows(people(50, dimensions=512).astype(np.float16))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_a_number_is_named_with_its_row(people, bad):
    rows = people(5)
    rows[3, 2] = bad
    with pytest.raises(RetrievalError, match="query row 3 holds NaN or infinity"):
        unit_rows(rows, "query")


def test_an_unnormalised_row_is_named_with_its_length_and_the_remedy(people):
    rows = people(5)
    rows[2] *= 3
    with pytest.raises(RetrievalError, match=r"row 2 has length 3\.0000, expected 1: divide each vector"):
        unit_rows(rows)


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4), (3, 0)])
def test_anything_but_rows_of_vectors_is_refused_with_its_shape(shape):
    with pytest.raises(RetrievalError, match="expected \\(N, D\\)"):
        unit_rows(np.zeros(shape))


def test_squared_distance_is_two_minus_two_cosines_and_never_negative():
    similarity = np.array([1.0000002, 1.0, 0.5, -1.0], np.float32)
    np.testing.assert_array_equal(squared_distance(similarity), np.array([0, 0, 1, 4], np.float32))
