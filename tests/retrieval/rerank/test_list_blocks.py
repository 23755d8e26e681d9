import faiss
import numpy as np
import pytest

from retrieval.errors import RetrievalError
from retrieval.neighbours import nearest
from retrieval.rerank.list_blocks import lists_of


@pytest.fixture
def pretended_gpu(monkeypatch):
    """A faiss that says it sees a GPU, and does on the processor what it would do there."""
    asked = []

    def knn(resources, queries, gallery, k, *, metric, **more):
        assert metric == faiss.METRIC_INNER_PRODUCT
        assert more["vectorsMemoryLimit"] > 0
        asked.append(len(queries))
        return faiss.knn(np.ascontiguousarray(queries), gallery, k, metric=metric)

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "knn_gpu", knn, raising=False)
    return asked


@pytest.fixture(params=["cpu", "pretended", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "pretended":
        request.getfixturevalue("pretended_gpu")
        return "gpu"
    if request.param == "gpu" and not getattr(faiss, "get_num_gpus", lambda: 0)():
        pytest.skip("faiss sees no GPU here")
    return request.param


def test_a_block_has_the_lists_that_its_items_have_among_all(device, people, tmp_path):
    vectors = people(700, of=30)
    vectors[300:330] = vectors[5]  # more copies than are spare, some of them beyond the end of a list
    file = np.memmap(tmp_path / "vectors", np.float32, "w+", shape=vectors.shape)
    file[:] = vectors
    whole = nearest(vectors, vectors, 20, exclude_self=True, device="cpu")
    for first, stop in ((0, 100), (290, 340), (650, 900)):
        near = lists_of(first, stop, file, 20, device)
        np.testing.assert_array_equal(near.indices, whole.indices[first:stop])
        np.testing.assert_array_equal(near.similarities, whole.similarities[first:stop])
        np.testing.assert_allclose(near.lowest, whole.lowest[first:stop], atol=1e-6)
        away = np.einsum("nd,nd->n", vectors[first:stop], vectors[near.farthest])
        np.testing.assert_allclose(away, whole.lowest[first:stop], atol=1e-6)


def test_a_gallery_smaller_than_the_reach_ends_its_lists_early(device, people):
    near = lists_of(1, 3, people(4), 20, device)
    assert near.indices.shape == (2, 20)
    assert [sorted(row[:3].tolist()) for row in near.indices] == [[0, 2, 3], [0, 1, 3]]
    assert (near.indices[:, 3:] == -1).all()
    assert (near.similarities[:, 3:] == -np.inf).all()


def test_an_item_alone_has_no_neighbours_and_is_its_own_farthest(device, people):
    near = lists_of(0, 1, people(1), 20, device)
    assert near.indices.tolist() == [[-1] * 20]
    assert near.farthest.tolist() == [0]


def test_more_neighbours_than_a_gpu_finds_are_refused(pretended_gpu, people, monkeypatch):
    monkeypatch.setattr("retrieval.rerank.list_blocks.LARGEST_K", 20)
    with pytest.raises(RetrievalError, match="12 neighbours are too many for a GPU, which finds 11"):
        lists_of(0, 10, people(50), 12, "gpu")
    assert not pretended_gpu


def test_a_gpu_that_fails_is_a_sentence(pretended_gpu, people, monkeypatch):
    def full(*_, **__):
        raise RuntimeError("Error in GpuResources:\n  out of memory")

    monkeypatch.setattr(faiss, "knn_gpu", full)
    with pytest.raises(RetrievalError, match=r"the GPU failed \(Error in GpuResources: out of memory\): free its"):
        lists_of(0, 50, people(100, of=5), 20, "gpu")
