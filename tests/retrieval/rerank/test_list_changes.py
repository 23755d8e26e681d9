import numpy as np
import pytest

from retrieval.neighbours import nearest
from retrieval.rerank import RerankSettings
from retrieval.rerank.list_changes import changed_lists, touched_rows
from retrieval.rerank.row_blocks import Lists, rows_of


def lists_of_all(vectors, keys, reach):
    near = nearest(vectors, vectors, reach, exclude_self=True)
    return Lists(keys, vectors, near.indices, near.similarities, near.farthest, near.lowest)


def change(crowd, before, gone, new, rerank):
    """Lists from changing, and the same made from nothing, of a crowd of which some are there at first."""
    old = lists_of_all(crowd[before], before, rerank.reach)
    kept = np.flatnonzero(~np.isin(before, gone))
    after = np.concatenate((before[kept], new))
    return old, changed_lists(old, kept, crowd[after], rerank), lists_of_all(crowd[after], after, rerank.reach)


@pytest.mark.parametrize("seed", range(25))
def test_changed_lists_are_those_made_from_nothing_and_say_who_is_changed(people, seed):
    rng = np.random.default_rng(seed)
    size, rerank = int(rng.integers(4, 80)), RerankSettings(int(rng.integers(1, 12)), int(rng.integers(1, 7)))
    crowd = people(size, of=5, dimensions=6, seed=seed)
    crowd = crowd[rng.integers(size, size=size)]  # some of them are copies
    before = np.arange(int(rng.integers(2, size)))
    gone = rng.choice(before, size=int(rng.integers(0, len(before))), replace=False)
    new = np.arange(len(before), size)
    if seed % 5 == 0:
        new = new[:0]
    old, (near, changed, farther), anew = change(crowd, before, gone, new, rerank)
    for name in ("indices", "similarities", "lowest"):
        np.testing.assert_allclose(getattr(near, name), getattr(anew, name), atol=1e-6, err_msg=name)
    then, now = (
        {key: set(lists.keys[row[row >= 0]].tolist()) for key, row in zip(lists.keys, lists.indices, strict=True)}
        for lists in (old, anew)
    )
    assert {int(key) for key, flag in zip(anew.keys, changed, strict=True) if flag} >= {
        key for key in now if now[key] != then.get(key)
    }
    lowest = dict(zip(old.keys.tolist(), old.lowest.tolist(), strict=True))
    for key, value, flag in zip(anew.keys.tolist(), anew.lowest, farther, strict=True):
        assert flag or abs(value - lowest[key]) < 1e-6


@pytest.mark.parametrize(("k1", "k2"), [(5, 3), (9, 1), (7, 2), (4, 6)])
@pytest.mark.parametrize("seed", range(4))
def test_every_row_that_changes_is_touched_and_in_a_large_gallery_most_are_not(people, seed, k1, k2):
    crowd, rerank = people(600, of=80, seed=seed, spread=0.9), RerankSettings(k1, k2)
    old, (near, changed, farther), _ = change(crowd, np.arange(598), [17, 44], np.array([598, 599]), rerank)
    keys = np.delete(np.arange(600), [17, 44])
    lists = Lists(keys, crowd[keys], near.indices, near.similarities, near.farthest, near.lowest)
    touched = touched_rows(near.indices, changed, farther, rerank)
    then = dict(zip(old.keys.tolist(), rows_of(np.arange(598), old, rerank).packed(rerank), strict=True))
    now = dict(zip(keys.tolist(), rows_of(np.arange(598), lists, rerank).packed(rerank), strict=True))
    differ = {key for key in now if now[key] != then.get(key)}
    assert differ <= set(keys[touched].tolist())
    assert len(differ) < np.count_nonzero(touched) < 550
