import faiss
import pytest

from retrieval.approximate import KINDS, self_test
from retrieval.errors import RetrievalError


def test_this_faiss_passes():
    self_test()


@pytest.mark.parametrize("kind", KINDS)
def test_a_faiss_that_passes_over_filters_is_found_out(monkeypatch, kind):
    monkeypatch.setattr("retrieval.approximate.finder.Permitted.selector", lambda self: None)
    with pytest.raises(RetrievalError, match=f"{kind!r} index failed: faiss returns items that the filter forbids"):
        self_test((kind,))


@pytest.mark.parametrize("kind", KINDS)
def test_a_faiss_whose_filters_let_nobody_through_is_found_out(monkeypatch, kind):
    monkeypatch.setattr(
        "retrieval.approximate.finder.Permitted.selector", lambda self: faiss.IDSelectorRange(1000, 1001)
    )
    with pytest.raises(RetrievalError, match="finds too few items"):
        self_test((kind,))


def test_a_faiss_without_code_for_this_machine_is_told_in_a_sentence(monkeypatch):
    def no_code(*arguments, **named):
        raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(faiss.IndexHNSWSQ, "search", no_code)
    with pytest.raises(RetrievalError, match=r"broke off with RuntimeError: no kernel image.* does not work on this"):
        self_test(("hnsw",))
