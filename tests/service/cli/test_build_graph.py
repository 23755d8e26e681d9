import json
import os
import signal
import sys
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest

from service.gallery import GraphBuilt, Probe, Search
from service.gallery.embedded import EmbeddedEngine, Sizes

SMALL = Sizes(graph_up_to=5, at_once_up_to=2)


@pytest.fixture
def large(indexed, monkeypatch):
    """The data directory of a gallery that is too large, as sizes are here, to be given a graph by itself."""
    for file in indexed.rglob("derived/*"):
        file.unlink()
    monkeypatch.setattr("service.gallery.embedded.engine.Sizes", lambda: SMALL)
    return indexed


def graph(vantage):
    return json.loads(vantage("gallery", "info", "g", "--json")[1])["index"]["graph"]


def test_a_graph_is_built_and_re_ranks_from_the_next_start_on(vantage, large):
    assert graph(vantage) == "too large"
    code, out, err = vantage("gallery", "build-graph", "g", "--device", "cpu")
    assert (code, err) == (0, "")
    assert out.startswith("g: what re-ranking knows of 8 items is current; 8 written anew (")
    assert graph(vantage) == "ready"
    with EmbeddedEngine.open(large, sizes=SMALL) as engine:
        engine.settle("g")
        vector = engine.get("g", "0001_c1s1_000001_00", vector=True).vector
        reranking = engine.search("g", Search(probe=Probe(vectors=vector[None]), rerank="online")).reranking
        assert (reranking.mode, reranking.applied, reranking.reason_skipped) == ("online", True, None)
    said = json.loads(vantage("gallery", "build-graph", "g", "--json")[1])
    assert said.pop("seconds") >= 0
    assert said == {"gallery": "g", "items": 8, "written": 0}


def test_a_signal_stops_it_between_two_blocks_and_the_same_command_goes_on(vantage, large, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("retrieval.rerank.generation.LISTED", 3)
        patch.setattr(
            "service.cli.build_graph.stage_progress",
            lambda: nullcontext(lambda *_: os.kill(os.getpid(), signal.SIGTERM)),
        )
        code, out, err = vantage("gallery", "build-graph", "g")
        assert (code, out) == (143, "")
        assert err == "stopped: the blocks that were made stay; run the same command again to go on\n"
        assert graph(vantage) == "too large"
        assert [path.name for path in large.rglob("lists-*")] == ["lists-0"]
    monkeypatch.setattr("retrieval.rerank.generation.LISTED", 3)
    assert vantage("gallery", "build-graph", "g")[0] == 0
    assert graph(vantage) == "ready"
    assert not list(large.rglob("lists-*"))


@pytest.mark.parametrize(
    ("options", "name", "sentence"),
    [
        (("--ray-gpus-per-worker", 1), "--ray-gpus-per-worker", "add --ray auto"),
        (("--ray", "auto", "--ray-gpus-per-worker", -1), "--ray-gpus-per-worker", "greater than or equal to 0"),
        (
            ("--ray", "auto", "--device", "gpu", "--ray-gpus-per-worker", 0),
            "--ray-gpus-per-worker",
            "needs some of one",
        ),
        (("--ray", "auto", "--device", "cpu", "--ray-gpus-per-worker", 1), "--ray-gpus-per-worker", "uses no GPU"),
        (("--device", "cuda"), "--device", "'cuda' is not one of"),
    ],
)
def test_options_that_do_not_fit_are_sentences(vantage, options, name, sentence):
    code, out, err = vantage("gallery", "build-graph", "g", *options)
    assert (code, out) == (2, "")
    assert f"Invalid value for {name}" in err or f"Invalid value for '{name}'" in err
    assert sentence in err


def test_what_cannot_be_done_is_a_sentence(vantage, large, monkeypatch):
    monkeypatch.setattr("faiss.get_num_gpus", lambda: 0, raising=False)
    for options, sentence in (
        (("h",), "there is no gallery 'h'; there are: g"),
        (("g", "--data", "elsewhere"), "there is no data directory elsewhere"),
        (("g", "--device", "gpu"), "device 'gpu' was asked for, but faiss sees none"),
        (("g", "--ray", "somewhere"), "--ray is 'somewhere': give auto, or HOST:PORT"),
    ):
        code, out, err = vantage("gallery", "build-graph", *options)
        assert (code, out) == (1, ""), options
        assert sentence in err
        assert "Traceback" not in err
    with EmbeddedEngine.open(large, upkeep=False):
        code, out, err = vantage("gallery", "build-graph", "g")
        assert (code, out) == (1, "")
        assert "vantage-data is in use by process" in err
        assert "stop that process" in err


def test_without_ray_it_is_said_what_to_install(vantage, large, monkeypatch):
    for name in {"service.on_ray.cluster", "service.on_ray.mapper"} & sys.modules.keys():
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    code, out, err = vantage("gallery", "build-graph", "g", "--ray", "auto")
    assert (code, out) == (1, "")
    assert "--ray needs Ray" in err
    assert "pip install 'vantage-reid[ray]'" in err


@pytest.mark.parametrize(
    ("options", "device", "gpus"),
    [
        ((), "cpu", 0.0),
        (("--device", "cpu"), "cpu", 0.0),
        (("--ray-gpus-per-worker", 0), "cpu", 0.0),
        (("--device", "gpu"), "gpu", 1.0),
        (("--ray-gpus-per-worker", 0.5), "gpu", 0.5),
        (("--device", "gpu", "--ray-gpus-per-worker", 0.25), "gpu", 0.25),
    ],
)
def test_on_ray_a_gpu_is_used_where_one_is_reserved(vantage, monkeypatch, options, device, gpus):
    pytest.importorskip("ray", reason="needs the extra ray: pip install 'vantage-reid[ray]'", exc_type=ImportError)
    seen, joined = {}, []

    @contextmanager
    def open_cluster(address):
        joined.append(address)
        yield

    def build_graph(name, **how):
        seen.update(how)
        return GraphBuilt(gallery=name, items=2_000, written=1_000)

    engine = SimpleNamespace(info=lambda name: None, build_graph=build_graph)
    monkeypatch.setattr("service.cli.build_graph.open_engine", lambda data, upkeep: nullcontext(engine))
    monkeypatch.setattr("service.on_ray.cluster.open_cluster", open_cluster)
    monkeypatch.setattr("service.on_ray.mapper.RayMapper", lambda gpus: ("on ray", gpus))
    code, out, _ = vantage("gallery", "build-graph", "lobby", "--ray", "h:1", *options)
    assert code == 0
    assert out.startswith("lobby: what re-ranking knows of 2,000 items is current; 1,000 written anew (")
    assert joined == ["h:1"]
    assert (seen["device"], seen["mapper"]) == (device, ("on ray", gpus))
