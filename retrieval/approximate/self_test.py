"""Does this faiss do what is asked of it, on this machine? Asked once at start, of a tiny gallery."""

from __future__ import annotations

import numpy as np

from retrieval.approximate.finder import Kind, Permitted
from retrieval.approximate.index import KINDS, ApproximateIndex, built
from retrieval.errors import RetrievalError

ITEMS, DIMENSION = 256, 64


def self_test(kinds: tuple[Kind, ...] = KINDS) -> None:
    """Builds an index of each kind, adds, searches with a filter, removes, searches; raises where an answer is wrong.

    Some builds of faiss pass over a filter without a word, and some have no code for the processor they run on.
    """
    for kind in kinds:
        try:
            _test(kind)
        except RetrievalError as error:
            raise RetrievalError(
                f"the self-test of the {kind!r} index failed: {error}. Install the faiss that the requirements name, "
                "or use the index kind 'flat'"
            ) from error
        except Exception as error:
            raise RetrievalError(
                f"the self-test of the {kind!r} index broke off with {type(error).__name__}: {error}. This faiss does "
                "not work on this machine: install the one that the requirements name"
            ) from error


def _test(kind: Kind) -> None:
    rows = np.random.default_rng(0).standard_normal((ITEMS + 1, DIMENSION)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    probe = rows[-1:]
    items = built(kind, np.arange(ITEMS), rows[:-1], 0.99, None, lent=True).extended(np.array([ITEMS]), probe)
    # The finder is asked itself: the index would hide what a filter lets through.
    mask = np.zeros(len(items), np.bool_)
    mask[::3] = True
    seen = items.finder.find(probe, 8, items.tuning.effort, Permitted(mask, int(mask.sum())))
    seen = seen[seen >= 0]
    _check(bool(mask[seen].all()), "faiss returns items that the filter forbids")
    _check(len(seen) >= 8, "a filtered search finds too few items")
    index = ApproximateIndex(items)
    _check(index.search(probe, 1).ids[0, 0] == ITEMS, "an item that was added is not found")
    index.remove([ITEMS])
    _check(ITEMS not in index.search(probe, ITEMS).ids, "an item that was removed is still found")


def _check(right: bool, sentence: str) -> None:
    if not right:
        raise RetrievalError(sentence)
