"""What of an item is stored, and what of a vector is indexed."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.gallery.embedded.rows import (
    LAST_INSTANT,
    Stored,
    comparable,
    indexed_vector,
    instant,
    metadata_pairs,
    microseconds,
    number,
    stored_vector,
)


def unit_rows(count: int, width: int) -> np.ndarray:
    rows = np.random.default_rng(count * width).standard_normal((count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("width", [1, 7, 128, 513])
def test_a_vector_is_indexed_to_the_same_bits_alone_and_among_others(width: int) -> None:
    stored = stored_vector(unit_rows(37, width))
    together = indexed_vector(stored)
    shifted = np.frombuffer(b"x" + stored.tobytes(), np.uint8)[1:].view("<f2").reshape(37, width)  # not aligned
    assert np.array_equal(indexed_vector(shifted), together)
    assert np.array_equal(indexed_vector(np.asfortranarray(stored)), together)
    for row in range(37):
        assert indexed_vector(stored[row : row + 1])[0].tobytes() == together[row].tobytes()


def test_indexed_vectors_have_unit_length_and_are_the_stored_ones() -> None:
    stored = stored_vector(unit_rows(50, 256))
    indexed = indexed_vector(stored)
    assert indexed.dtype == np.float32
    lengths = [sum(float(x) ** 2 for x in row) ** 0.5 for row in indexed]
    assert max(abs(length - 1) for length in lengths) < 1e-7
    literal = [[float(x) / sum(float(y) ** 2 for y in row) ** 0.5 for x in row] for row in stored]
    assert np.allclose(indexed, literal, rtol=1e-7, atol=0)


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_come_back_to_the_microsecond(time: datetime) -> None:
    assert instant(microseconds(time)) == time


def test_the_last_instant_can_be_written() -> None:
    assert instant(LAST_INSTANT).year == 9999


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, -2.0, 2.0**53, 1e300]),
    st.text(max_size=3),
)


@given(scalars, scalars)
@settings(max_examples=300, deadline=None)
def test_two_values_are_written_alike_if_and_only_if_json_holds_them_equal(one: object, other: object) -> None:
    equal = one == other and isinstance(one, bool) == isinstance(other, bool)
    assert (comparable(one) == comparable(other)) == equal  # type: ignore[arg-type]


def test_only_scalars_at_the_top_of_metadata_are_listed() -> None:
    assert metadata_pairs('{"a":1.0,"b":null,"c":[1],"d":{"e":2},"f":"x"}') == [("a", "1"), ("b", "null"), ("f", '"x"')]


def test_minus_zero_is_stored_as_sqlite_gives_it_back() -> None:
    assert str(number(-0.0)) == "0.0"
    assert number(None) is None


def test_a_seal_changes_with_every_field() -> None:
    whole = Stored(1, "id", "c", 2, "p", "t", 0.1, 0.2, 0.7, 0.5, 3, 4, "ab", 1, "{}")
    other = Stored(2, "ie", "d", 3, "q", "u", 0.2, 0.3, 0.8, 0.6, 4, 5, "ac", 0, "[]")
    changed = [whole._replace(**{name: getattr(other, name)}) for name in Stored._fields]  # type: ignore[arg-type]
    assert len({entry.seal for entry in (whole, *changed)}) == len(Stored._fields) + 1


@pytest.mark.parametrize(
    ("three", "place"), [((0.5, 0.3, 0.2), 0), ((0.2, 0.4, 0.4), 1), ((0.1, 0.2, 0.7), 2), ((0.4, 0.2, 0.4), 0)]
)
def test_the_viewpoint_of_a_row_is_the_likeliest_and_of_equals_the_first(
    three: tuple[float, float, float], place: int
) -> None:
    assert Stored(1, "id", None, None, None, None, *three, None, 0, None, None, 0, "{}").row.viewpoint == place
