"""A GPU that is played on the processor: as strict as faiss' real one, and as rough in its arithmetic."""

import threading

import faiss
import numpy as np
import pytest


class PretendedIndex:
    """What `GpuIndexFlatIP` does with float16: vectors and probe are rounded; one thread at a time; no filters."""

    most = 2048
    fails = False

    def __init__(self, resources, dimension, config):
        assert config.useFloat16
        self.rows = np.empty((0, dimension), np.float32)
        self.busy = threading.Lock()

    def add(self, rows):
        with self._alone():
            self.rows = np.concatenate((self.rows, rows.astype(np.float16).astype(np.float32)))

    def search(self, probes, k):
        with self._alone():
            assert 0 < k <= self.most
            likeness = probes.astype(np.float16).astype(np.float32) @ self.rows.T
            best = np.argsort(-likeness, axis=1, kind="stable")[:, :k]
            return np.take_along_axis(likeness, best, 1), best

    def _alone(self):
        if type(self).fails:
            raise RuntimeError("CUDA error 700\nmany more lines")
        assert self.busy.acquire(blocking=False), "two threads use the GPU at once"
        self.busy.release()
        return self.busy


class Resources:
    def setTempMemory(self, size):  # noqa: N802  # faiss' name
        assert 0 < size < 2**30


class Config:
    useFloat16 = False  # noqa: N815


@pytest.fixture
def pretended_gpu(monkeypatch):
    monkeypatch.setattr(PretendedIndex, "fails", False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "StandardGpuResources", Resources, raising=False)
    monkeypatch.setattr(faiss, "GpuIndexFlatConfig", Config, raising=False)
    monkeypatch.setattr(faiss, "GpuIndexFlatIP", PretendedIndex, raising=False)
    return PretendedIndex


@pytest.fixture(params=["pretended", pytest.param("real", marks=pytest.mark.gpu)])
def gpu(request):
    """A GPU for faiss, pretended or real."""
    if request.param == "pretended":
        request.getfixturevalue("pretended_gpu")
    elif not getattr(faiss, "get_num_gpus", lambda: 0)():
        pytest.skip("faiss sees no GPU here")
