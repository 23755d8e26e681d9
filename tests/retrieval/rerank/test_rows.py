import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import RetrievalError
from retrieval.rerank import GraphRows, RerankSettings
from retrieval.rerank.rows import FIELDS

PLAIN = RerankSettings()


def some_rows(rng, count, span=1000, start=0):
    """Rows of any content, some of them missing."""
    present = rng.random(count) < 0.8
    counts = np.sort(rng.integers(1, 12, (count, 3)), axis=1)
    counts[:, 0] -= 1
    counts[~present] = 0
    every, own = int(counts[:, 2].sum()), int(counts[:, 1].sum())
    radii = [np.where(present, rng.random(count), -np.inf).astype(np.float32) for _ in range(3)]
    columns = start + rng.integers(span, size=every)
    weights = [rng.random(size).astype(np.float32) for size in (every, own)]
    return GraphRows(present, *radii, counts.astype(np.int64), columns, *weights)


def assert_equal(ours, theirs):
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 12),
    st.sampled_from([1, 1000, 2**32 - 1, 2**32, 2**32 + 1, 2**62]),
    st.sampled_from([0, 17, 2**33 + 5, 2**62]),
)
@settings(deadline=None, max_examples=150)
def test_what_was_packed_is_read_again_whatever_the_keys(seed, count, span, start):
    rows = some_rows(np.random.default_rng(seed), count, span, start)
    packed = rows.packed(PLAIN)
    assert [row is not None for row in packed] == rows.present.tolist()
    assert_equal(GraphRows.read(packed, PLAIN), rows)


def test_the_widest_span_of_keys_takes_a_second_word_and_the_next_smaller_one_does_not():
    def size(span):
        columns = np.array([5, 5 + span])
        ones = np.ones(1, np.float32)
        rows = GraphRows(
            ones > 0, ones, ones, ones, np.array([[0, 1, 2]]), columns, np.ones(2, np.float32), np.ones(1, np.float32)
        )
        [packed] = rows.packed(PLAIN)
        np.testing.assert_array_equal(GraphRows.read([packed], PLAIN).columns, columns)
        return len(packed)

    assert size(2**32 - 1) == size(1) == 36 + 2 * 8 + 4
    assert size(2**32) == size(1) + 2 * 4


def test_rows_are_taken_and_joined_like_any_array():
    rng = np.random.default_rng(3)
    rows, others = some_rows(rng, 9), some_rows(rng, 4)
    order = np.array([4, 4, 0, 12, 8, 11])
    both = rows.followed_by(others)
    assert (len(both), both.missing) == (13, rows.missing + others.missing)
    packed = rows.packed(PLAIN) + others.packed(PLAIN)
    assert_equal(both.take(order), GraphRows.read([packed[n] for n in order], PLAIN))


def test_nothing_and_an_empty_field_both_mean_that_there_is_no_row():
    rows = GraphRows.read([None, b""], PLAIN)
    assert (len(rows), rows.missing, len(rows.columns)) == (2, 2, 0)
    assert_equal(rows, GraphRows.absent(2))


def test_a_damaged_row_is_never_believed():
    rng = np.random.default_rng(0)
    [row] = GraphRows.read([r for r in some_rows(rng, 9).packed(PLAIN) if r][:1], PLAIN).packed(PLAIN)
    for place in range(len(row)):
        flipped = bytearray(row)
        flipped[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(RetrievalError, match=r"damaged.*make the rows of this gallery anew"):
            GraphRows.read([row, bytes(flipped)], PLAIN)
    for damaged in (row[:3], row[:-4], row[:-1], row + b"\0\0\0\0", b"\0" * 36):
        with pytest.raises(RetrievalError, match=r"damaged|version 0"):
            GraphRows.read([damaged], PLAIN)


@pytest.mark.parametrize("other", [RerankSettings(k1=21), RerankSettings(k2=5)])
def test_rows_made_with_other_settings_are_refused(other):
    packed = some_rows(np.random.default_rng(0), 9).packed(other)
    with pytest.raises(RetrievalError, match=f"made with k1={other.k1} and k2={other.k2}, and .* k1=20 and k2=6: make"):
        GraphRows.read(packed, PLAIN)
    assert len(GraphRows.read(packed, RerankSettings(other.k1, other.k2, lam=0.9))) == 9


def test_a_row_of_another_version_is_refused(monkeypatch):
    monkeypatch.setattr("retrieval.rerank.rows.VERSION", 2)
    packed = some_rows(np.random.default_rng(0), 9).packed(PLAIN)
    monkeypatch.undo()
    with pytest.raises(RetrievalError, match="is of version 2, and this program reads version 1"):
        GraphRows.read(packed, PLAIN)


def test_what_does_not_fit_into_a_row_is_refused():
    with pytest.raises(RetrievalError, match="k1=65536 and k2=6 cannot be packed: none of them may be above 65535"):
        some_rows(np.random.default_rng(0), 3).packed(RerankSettings(k1=2**16))
