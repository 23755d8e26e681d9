"""Blocks of a graph on a Ray cluster of this machine alone, held against those that are made here."""

import os
import signal

import numpy as np
import pytest

from retrieval import RetrievalError
from retrieval.rerank import GraphDirectory, RerankSettings
from retrieval.rerank.generation import Work
from service.gallery import GallerySettings, NewItem, Probe, Search
from service.gallery.embedded import EmbeddedEngine, Sizes
from service.on_ray import ClusterError


@pytest.fixture
def mapper(ray_cluster):
    from service.on_ray.mapper import RayMapper

    return RayMapper()


def marking(folder, act=lambda number, before: None):
    """Work that leaves a file for each time that a number is begun, and then does `act(number, times before)`."""

    def work(number):
        before = len(list(folder.glob(f"{number}-*")))
        (folder / f"{number}-{before}").touch()
        act(number, before)

    return Work(work)


def begun(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_cluster_makes_the_rows_that_this_machine_makes(mapper, tmp_path):
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.standard_normal((3_000, 8)), 2, axis=0) + 0.3 * rng.standard_normal((6_000, 8))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    told, made = [], []
    for name, how in (("here", {}), ("there", {"mapper": mapper})):
        directory = GraphDirectory(tmp_path / name, RerankSettings(8, 4))
        directory.update([(np.arange(6_000), rows)], progress=lambda *step: told.append(step), device="cpu", **how)
        made.append({key: row for _, keys, found in directory.waiting() for key, row in zip(keys, found, strict=True)})
    assert made[0] == made[1]
    assert len(made[0]) == 6_000
    assert told == 2 * [("lists", 1, 1), ("rows", 1, 2), ("rows", 2, 2)]


def test_every_number_is_done_once_also_where_there_are_more_than_the_cluster_takes(mapper, tmp_path):
    assert list(mapper(marking(tmp_path), range(11))) == 11 * [None]
    assert begun(tmp_path) == sorted(f"{number}-0" for number in range(11))
    assert list(mapper(marking(tmp_path), [])) == []


def test_a_block_whose_worker_is_killed_is_begun_again(mapper, tmp_path):
    def act(number, before):
        if number == 2 and not before:
            os.kill(os.getpid(), signal.SIGKILL)

    assert len(list(mapper(marking(tmp_path, act), range(4)))) == 4
    assert begun(tmp_path) == ["0-0", "1-0", "2-0", "2-1", "3-0"]


def test_a_block_whose_worker_dies_every_time_is_given_up_with_a_sentence(mapper, tmp_path):
    def act(number, before):
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ClusterError, match=r"the cluster failed with WorkerCrashedError: .*; the blocks"):
        list(mapper(marking(tmp_path, act), [0]))
    assert len(begun(tmp_path)) == 4


def fails(error):
    def act(number, before):
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (RetrievalError("k1 is 0: use more"), RetrievalError, "^k1 is 0: use more$"),
        (
            OSError(28, "No space left on device"),
            ClusterError,
            "failed with OSError: .*No space left.*mend that",
        ),
        (
            FileNotFoundError(2, "No such file", "/g/keys.npy"),
            ClusterError,
            "does not see .*/g/keys.npy.* same path",
        ),
        (ValueError("what\nTraceback"), ClusterError, "^the cluster failed with ValueError: what; the blocks"),
    ],
)
def test_what_goes_wrong_in_the_work_is_a_sentence_and_is_not_tried_again(mapper, tmp_path, error, kind, sentence):
    with pytest.raises(kind, match=sentence):
        list(mapper(marking(tmp_path, fails(error)), [0]))
    assert begun(tmp_path) == ["0-0"]


def test_where_it_is_given_up_no_block_is_begun_any_more(mapper, tmp_path):
    def act(number, before):
        if number:
            signal.pause()  # until it is ended

    blocks = mapper(marking(tmp_path, act), range(30))
    next(blocks)
    blocks.close()
    assert list(mapper(marking(tmp_path), [99])) == [None]  # there is room again
    assert len(begun(tmp_path)) <= 1 + 4 + 1


@pytest.mark.parametrize(
    ("nodes", "gpus", "on_gpu", "room"),
    [
        ([{"CPU": 4.0}, {"CPU": 2.0}], 0.0, True, 6),
        ([{"CPU": 4.0}, {"CPU": 16.0, "GPU": 2.0}], 0.25, True, 8),
        ([{"CPU": 4.0}, {"CPU": 16.0, "GPU": 2.0}], 0.25, False, 20),
        ([{"CPU": 1.0, "GPU": 8.0}], 0.1, True, 1),
    ],
)
def test_a_cluster_is_filled_and_gpus_are_reserved_only_for_what_they_are_of_use_to(
    ray_cluster, monkeypatch, nodes, gpus, on_gpu, room
):
    from service.on_ray import mapper

    class Task:
        """In place of Ray's: of which at most `most` were under way at once."""

        most, under_way = 0, 0

        def options(self, **reserved):
            self.reserved = reserved
            return self

        def remote(self, work, number):
            self.under_way += 1
            self.most = max(self.most, self.under_way)

        def wait(self, blocks, num_returns):
            self.under_way -= 1
            return blocks[:1], blocks[1:]

    task, dead = Task(), {"Alive": False, "Resources": {"CPU": 99.0, "GPU": 9.0}}
    monkeypatch.setattr("ray.nodes", lambda: [dead, *({"Alive": True, "Resources": node} for node in nodes)])
    monkeypatch.setattr("ray.remote", lambda work: task)
    monkeypatch.setattr("ray.wait", task.wait)
    monkeypatch.setattr("ray.get", lambda block: None)
    assert len(list(mapper.RayMapper(gpus)(Work(print, on_gpu=on_gpu), range(100)))) == 100
    assert task.most == 2 * room
    assert (task.reserved["num_cpus"], task.reserved["num_gpus"]) == (1, gpus if on_gpu else 0.0)


def test_a_cluster_that_has_not_what_is_wanted_is_a_sentence(ray_cluster):
    from service.on_ray.mapper import RayMapper

    with pytest.raises(ClusterError, match=r"no machine of the cluster has 1 CPU and 0\.5 of its GPUs to offer"):
        list(RayMapper(0.5)(Work(print, on_gpu=True), [0]))


def test_an_embedded_gallery_is_given_the_graph_that_this_machine_makes(mapper, tmp_path, monkeypatch):
    """Also where its directory is named from here, which is nowhere for a worker."""
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(1).standard_normal((500, 8))
    items = [NewItem(id=f"{n}", vector=row / np.linalg.norm(row)) for n, row in enumerate(rows)]
    answers = []
    for name, how in (("here", {}), ("there", {"mapper": mapper})):
        with EmbeddedEngine.open(name, sizes=Sizes(graph_up_to=10, at_once_up_to=10), upkeep=False) as engine:
            engine.create("g", GallerySettings(model_name="m", model_sha256="0" * 64, dimension=8))
            engine.add("g", items)
            engine.settle("g")
            assert engine.build_graph("g", device="cpu", **how).written == 500
        with EmbeddedEngine.open(name, upkeep=False) as engine:
            search = Search(probe=Probe(vectors=items[7].vector[None]), k=30, rerank="online")
            answers.append([(hit.item.id, hit.reranked) for hit in engine.search("g", search).hits])
    assert answers[0] == answers[1]
