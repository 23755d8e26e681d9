"""The index on a GPU beside the exact search: on a pretended one anywhere, on a real one where faiss sees one."""

import threading

import numpy as np
import pytest

from retrieval.approximate import ApproximateIndex, CorruptIndexError, self_test
from retrieval.errors import RetrievalError
from retrieval.exact_index import ExactIndex


@pytest.fixture
def rows(people):
    return people(1200, of=60, dimensions=24, seed=3)


@pytest.fixture
def probes(people):
    return people(1230, of=60, dimensions=24, seed=3)[-30:]


@pytest.mark.parametrize("share", [None, 0.01, 0.2, 0.9])
@pytest.mark.parametrize("top", [1, 10, 300])
def test_it_finds_what_the_exact_search_finds(gpu, rows, probes, share, top):
    index, exact = ApproximateIndex.build("gpu", rows[:1000]), ExactIndex.build(rows[:1000])
    for each in (index, exact):
        each.add(np.arange(1000, 1200), rows[1000:])
        each.remove(np.arange(0, 1200, 9))
    allowed = None if share is None else np.flatnonzero(np.random.default_rng(0).random(1200) < share)
    found, truth = (each.search(probes, top, allowed=allowed) for each in (index, exact))
    assert found.ids.tolist() == truth.ids.tolist()
    assert found.distances.tolist() == truth.distances.tolist()
    assert index.exact


def test_vectors_closer_than_the_gpu_can_tell_are_told_apart(gpu, rows):
    near = rows[:1] + 1e-4 * rows
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    index, exact = ApproximateIndex.build("gpu", near), ExactIndex.build(near)
    assert index.search(near[:5], 10).ids.tolist() == exact.search(near[:5], 10).ids.tolist()


def test_most_answers_are_sure_without_a_second_search(gpu, people, monkeypatch):
    rows = people(5000, of=500, dimensions=128)
    index = ApproximateIndex.build("gpu", rows)
    from retrieval.approximate.rows import FoundRows

    again = []
    exactly = FoundRows._exactly
    monkeypatch.setattr(FoundRows, "_exactly", lambda *asked: (again.append(1), exactly(*asked))[1])
    index.search(rows[:100], 10)
    assert len(again) < 10


def test_more_than_a_gpu_gives_is_sought_on_the_processor(pretended_gpu, rows, probes, monkeypatch):
    monkeypatch.setattr("retrieval.approximate.on_gpu.LARGEST_K", 50)
    monkeypatch.setattr(pretended_gpu, "most", 50)
    index, exact = ApproximateIndex.build("gpu", rows), ExactIndex.build(rows)
    assert index.search(probes, 200).ids.tolist() == exact.search(probes, 200).ids.tolist()


def test_threads_take_turns(gpu, rows, probes):
    index, exact = ApproximateIndex.build("gpu", rows[:1000]), ExactIndex.build(rows)
    failures = []

    def ask():
        try:
            for _ in range(20):
                index.search(probes, 10)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for start in range(1000, 1200, 10):
        index.add(np.arange(start, start + 10), rows[start : start + 10])
    for thread in threads:
        thread.join()
    assert not failures
    assert index.search(probes, 10).ids.tolist() == exact.search(probes, 10).ids.tolist()


def test_a_gpu_that_fails_costs_speed_and_no_answer(pretended_gpu, rows, probes, caplog, monkeypatch):
    index, exact = ApproximateIndex.build("gpu", rows[:1000]), ExactIndex.build(rows)
    monkeypatch.setattr(pretended_gpu, "fails", True)
    index.add(np.arange(1000, 1200), rows[1000:])
    assert index.search(probes, 10).ids.tolist() == exact.search(probes, 10).ids.tolist()
    monkeypatch.setattr(pretended_gpu, "fails", False)  # it is not trusted again: it lacks what was added
    assert index.search(probes, 10).ids.tolist() == exact.search(probes, 10).ids.tolist()
    assert [record.message for record in caplog.records] == [
        "the GPU failed (CUDA error 700): this gallery is searched on the processor until the service starts anew"
    ]


def test_a_saved_index_is_read_where_there_is_a_gpu_and_refused_in_a_sentence_where_not(
    pretended_gpu, rows, probes, tmp_path, monkeypatch
):
    index = ApproximateIndex.build("gpu", rows)
    index.remove([3, 4])
    index.save(tmp_path / "index")
    again = ApproximateIndex.load(tmp_path / "index")
    assert again.search(probes, 10).ids.tolist() == index.search(probes, 10).ids.tolist()
    monkeypatch.setattr("faiss.get_num_gpus", lambda: 0)
    with pytest.raises(CorruptIndexError, match="faiss sees no GPU"):
        ApproximateIndex.load(tmp_path / "index")
    with pytest.raises(RetrievalError, match="faiss sees no GPU: install the extra 'gpu'"):
        ApproximateIndex.build("gpu", rows)


def test_the_self_test_asks_it_too(gpu):
    self_test(("gpu",))
