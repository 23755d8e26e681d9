"""The half-width index beside the exact search: nothing may differ, whatever the vectors are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.approximate import ApproximateIndex
from retrieval.approximate.half import HalfFinder
from retrieval.exact_index import ExactIndex


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def rounded(rows):
    """As a gallery keeps them: of unit length within what float16 holds."""
    return unit(rows).astype(np.float16).astype(np.float32)


def crowd(rng, kind, count, dimension):
    rows = rng.standard_normal((count, dimension)).astype(np.float32)
    if kind == "equals":  # many more at the cut than are kept spare
        rows = rows[rng.integers(0, max(count // 40, 1), count)]
    if kind == "near":  # closer to one another than float16 can tell
        rows = rows[:1] + 1e-4 * rows
    return unit(rows) if kind == "near" else rounded(rows)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["strangers", "equals", "near"]),
    top=st.sampled_from([1, 10, 60]),
    share=st.sampled_from([None, 0.1, 0.4, 0.9]),
    removed=st.booleans(),
)
def test_it_finds_what_the_exact_search_finds(seed, kind, top, share, removed):
    rng = np.random.default_rng(seed)
    rows = crowd(rng, kind, 300, 12)
    half, exact = ApproximateIndex.build("half", rows[:200]), ExactIndex.build(rows[:200])
    for index in (half, exact):
        index.add(np.arange(200, 300), rows[200:])
        if removed:
            index.remove(np.arange(0, 300, 7))
    allowed = None if share is None else np.flatnonzero(rng.random(300) < share)
    probes = unit(rows[rng.integers(300, size=5)] + 0.05 * rng.standard_normal((5, 12))).astype(np.float32)
    found, truth = (index.search(probes, top, allowed=allowed) for index in (half, exact))
    assert found.ids.tolist() == truth.ids.tolist()
    assert found.distances.tolist() == truth.distances.tolist()


def test_it_says_that_it_is_exact_and_signs_do_not(people):
    rows = people(300, of=30, dimensions=16)
    assert ApproximateIndex.build("half", rows).exact
    assert not ApproximateIndex.build("signs", rows).exact


def test_vectors_that_float16_holds_are_hardly_ever_sought_twice(people, monkeypatch):
    rows = rounded(people(2000, of=200, dimensions=64))
    index = ApproximateIndex.build("half", rows)
    from retrieval.approximate.rows import FoundRows

    monkeypatch.setattr(FoundRows, "_exactly", lambda *_: pytest.fail("the exact search was asked"))
    index.search(unit(rows[:50] + 0.01).astype(np.float32), 20)


def test_what_was_removed_is_overwritten(people):
    rows = rounded(people(100, of=10, dimensions=16))
    index = ApproximateIndex.build("half", rows)
    index.remove([17])
    finder = index._versions.now.finder
    kept = finder.saved()[1]["faiss"].tobytes()
    assert rows[17].astype(np.float16).tobytes() not in kept
    assert rows[18].astype(np.float16).tobytes() in kept


def test_how_far_off_the_rounded_vectors_are_is_known_also_after_loading(people, tmp_path):
    plain, fine = (HalfFinder.build(rows) for rows in (rounded(people(50, dimensions=16)), people(50, dimensions=16)))
    assert plain.slack < 1e-5 < fine.slack
    index = ApproximateIndex.build("half", people(50, dimensions=16))
    index.save(tmp_path / "index")
    assert ApproximateIndex.load(tmp_path / "index")._versions.now.finder.slack == fine.slack
