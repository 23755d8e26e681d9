"""Exports, and exports that must not happen. The graphs are made once: the exporter takes seconds."""

import shutil
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper

from models import Bundle, Card, Session, check_session
from training.data import load_dataset, read_crop
from training.evaluation import evaluate, open_trial
from training.export import (
    ExportError,
    ParityError,
    bundle,
    onnx_graph,
    torch_answer,
    write_bundle,
)
from training.export.parity import DEMANDS
from training.networks import ServedModel

DATA = "synthetic:people=24,cameras=3,seed=1,size=64x32"


@pytest.fixture(scope="module")
def graphs(network):
    return {
        dtype: onnx_graph(ServedModel(network, precision))
        for precision, dtype in (("float32", torch.float32), ("float16", torch.float16))
    }


@pytest.fixture
def quick(graphs, monkeypatch):
    """The exporter, with what it gave for this network before; a change may be made to each graph."""

    def use(change=lambda graph: None):
        def instead(served):
            graph = onnx.ModelProto()
            graph.CopyFrom(graphs[served.backbone_dtype])
            change(graph)
            return graph

        monkeypatch.setattr(bundle, "onnx_graph", instead)

    return use


@pytest.fixture(scope="module")
def exported(graphs, network, facts, crops, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "onnx_graph", lambda served: graphs[served.backbone_dtype])
        out = tmp_path_factory.mktemp("zoo") / "small"
        return out, write_bundle(network, facts, out, crops)


def test_the_bundle_opens_in_both_precisions_and_serves_any_batch(exported):
    out, card = exported
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "card.json", "model.fp16.onnx", "model.onnx"]
    assert Card.load(out / "card.json") == card
    for precision in ("float32", "float16"):
        session = Session(Bundle.open(out, precision), device="cpu", threads=1)
        check_session(session, batch=5)
    assert card.outputs.viewpoint == "viewpoint"
    assert (card.input.dtype, card.input.layout, card.input.fixed_batch) == ("uint8", "NHWC", None)


def test_parity_in_the_card_is_what_another_runtime_measures(exported, network, crops):
    out, card = exported
    wanted = torch_answer(ServedModel(network), crops).vectors
    for file, parity in (("model.onnx", card.parity), (card.variants[0].file, card.variants[0].parity)):
        session = onnxruntime.InferenceSession(str(out / file), providers=["CPUExecutionProvider"])
        found = session.run(["embedding"], {"crops": np.array(crops.pixels)})[0]
        cosine = (wanted * found).sum(axis=1)
        assert parity.min_cosine == pytest.approx(cosine.min(), abs=1e-5)
        assert parity.max_abs_difference == pytest.approx(np.abs(wanted - found).max(), abs=1e-4)
        assert parity.crops == 64
    assert card.parity.min_cosine > 0.99999
    assert 0.999 < card.variants[0].parity.min_cosine < 0.9999999
    assert np.median(wanted @ wanted.T) < 0.99  # not all the same vector, which would prove nothing


def test_the_half_precision_file_computes_in_half_precision(exported):
    out, _ = exported
    sizes = [(out / name).stat().st_size for name in ("model.onnx", "model.fp16.onnx")]
    assert sizes[1] < 0.75 * sizes[0]
    weights = onnx.load(out / "model.fp16.onnx").graph.initializer
    assert any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in weights)


def test_facts_stand_in_the_file_and_nothing_of_the_machine_does(exported):
    out, card = exported
    for name in ("model.onnx", "model.fp16.onnx"):
        content = (out / name).read_bytes()
        for trace in (b"training/networks", b".py", b"stack_trace", b"class_hierarchy"):
            assert trace not in content
        metadata = {entry.key: entry.value for entry in onnx.load(out / name).metadata_props}
        assert metadata["vantage.name"] == '"small"'
        assert card.version in metadata["vantage.version"]


def test_the_exported_bundle_scores_what_the_network_scores(exported, network):
    out, card = exported
    dataset = load_dataset(DATA)
    trial = open_trial(Session(Bundle.open(out), device="cpu", threads=1), dataset, workers=1)
    served = ServedModel(network)

    def from_torch(embedded):
        crops = np.stack([read_crop(picture, card.input) for picture in embedded.split])
        with torch.no_grad():
            vectors = served(torch.from_numpy(crops))[0].numpy()
        return replace(embedded, vectors=vectors)

    alike = replace(trial, query=from_torch(trial.query), gallery=from_torch(trial.gallery))
    scores = [evaluate(each).ranking for each in (trial, alike)]
    assert abs(scores[0].map_step - scores[1].map_step) < 0.001
    assert abs(scores[0].rank1 - scores[1].rank1) < 0.001
    assert scores[0].map_step < 0.9  # or everything would agree


def tampered(graph):
    """One weight matrix of the embedding's path, a little off."""
    largest = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = numpy_helper.to_array(largest).copy()
    values *= 1 + 0.2 * np.random.default_rng(0).normal(size=values.shape).astype(values.dtype)
    largest.CopyFrom(numpy_helper.from_array(values, largest.name))


def wrong_viewpoints(graph):
    (node,) = [node for node in graph.graph.node if "viewpoint" in node.output]
    node.output[0] = "right_viewpoint"
    values = np.array([2, 0, 1], np.int64)
    graph.graph.initializer.append(numpy_helper.from_array(values, "turned"))
    graph.graph.node.append(helper.make_node("Gather", ["right_viewpoint", "turned"], ["viewpoint"], axis=1))


def looks_at_the_batch(graph):
    """Adds a little of the batch's mean: too little for the comparison with the network to see."""
    (node,) = [node for node in graph.graph.node if "embedding" in node.output]
    node.output[0] = "without_batch"
    constants = (("first", np.array([0], np.int64)), ("little", np.array(2e-3, np.float32)))
    graph.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants)
    graph.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["without_batch", "first"], ["batch_mean"], keepdims=1),
            helper.make_node("Mul", ["batch_mean", "little"], ["batch_some"]),
            helper.make_node("Add", ["without_batch", "batch_some"], ["embedding"]),
        ]
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (tampered, r"model.onnx does not give what the network gives: .* at least 0.9999 is demanded of all 64"),
        (wrong_viewpoints, r"model.onnx does not give the network's viewpoints"),
        (looks_at_the_batch, r"model.onnx gives other embeddings in a batch of 16 than one by one"),
    ],
)
def test_a_file_that_differs_from_the_network_is_not_exported(quick, network, facts, crops, tmp_path, change, sentence):
    quick(change)
    with pytest.raises(ParityError, match=sentence):
        write_bundle(network, facts, tmp_path / "zoo" / "small", crops)
    assert list((tmp_path / "zoo").iterdir()) == []


def test_a_half_precision_file_that_is_too_coarse_is_named_and_can_be_left_out(
    quick, network, facts, crops, tmp_path, monkeypatch
):
    quick()
    monkeypatch.setitem(DEMANDS, "float16", replace(DEMANDS["float16"], cosine=0.9999999))
    with pytest.raises(ParityError, match=r"model.fp16.onnx does not give .* --no-float16"):
        write_bundle(network, facts, tmp_path / "small", crops)
    assert not (tmp_path / "small").exists()
    card = write_bundle(network, facts, tmp_path / "small", crops, half_precision=False)
    assert card.variants == ()
    assert not (tmp_path / "small" / "model.fp16.onnx").exists()


def test_a_weight_that_changes_after_the_export_is_found(exported, tmp_path):
    copy = shutil.copytree(exported[0], tmp_path / "small")
    content = bytearray((copy / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "model.onnx").write_bytes(content)
    with pytest.raises(ValueError, match="the file was changed after export"):
        Bundle.open(copy)


def test_what_stands_in_the_way_is_said_before_any_work(network, facts, crops, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "card.json").write_text("{}")
    with pytest.raises(ExportError, match="full already exists: remove it"):
        write_bundle(network, facts, tmp_path / "full", crops)
    with pytest.raises(ExportError, match="'a b' is no name for a model"):
        write_bundle(network, replace(facts, name="a b"), tmp_path / "new", crops)
    with pytest.raises(ExportError, match="63 crops are too few"):
        write_bundle(network, facts, tmp_path / "new", crops[:63])
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
