import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from models import onnx_references
from models.card import Card
from models.errors import BundleError
from models.onnx_references import refuse_outside_references


def external(name: str = "W") -> onnx.TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def model_with(*nodes: onnx.NodeProto, initializers: tuple[onnx.TensorProto, ...] = ()) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(list(nodes), "g", [], [], list(initializers)))


def subgraph_with(tensor: onnx.TensorProto) -> onnx.GraphProto:
    return helper.make_graph([], "sub", [], [], [tensor])


def sparse(values: onnx.TensorProto) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=values, dims=[4])


def places_for_a_tensor() -> dict[str, onnx.ModelProto]:
    tensor = external()
    sparse_graph = model_with()
    sparse_graph.graph.sparse_initializer.append(sparse(tensor))
    training = model_with()
    training.training_info.add().algorithm.CopyFrom(subgraph_with(tensor))
    function = model_with()
    function.functions.add().node.append(helper.make_node("Constant", [], ["c"], value=tensor))
    return {
        "initializer": model_with(initializers=(tensor,)),
        "node attribute": model_with(helper.make_node("Constant", [], ["c"], value=tensor)),
        "list attribute": model_with(helper.make_node("Custom", [], ["c"], many=[tensor])),
        "subgraph": model_with(helper.make_node("If", ["x"], ["c"], then_branch=subgraph_with(tensor))),
        "list of subgraphs": model_with(helper.make_node("Custom", ["x"], ["c"], many=[subgraph_with(tensor)])),
        "sparse attribute": model_with(helper.make_node("Constant", [], ["c"], sparse_value=sparse(tensor))),
        "sparse initializer": sparse_graph,
        "training": training,
        "function": function,
    }


@pytest.mark.parametrize("place", places_for_a_tensor())
def test_external_data_is_refused_wherever_a_tensor_can_stand(place: str) -> None:
    content = places_for_a_tensor()[place].SerializeToString()
    with pytest.raises(BundleError, match="m keeps weights in another file"):
        refuse_outside_references(content, "m")


def test_either_sign_of_external_data_is_enough() -> None:
    location_only, entries_only = external(), external()
    del location_only.external_data[:]
    entries_only.ClearField("data_location")
    for tensor in (location_only, entries_only):
        with pytest.raises(BundleError, match="another file"):
            refuse_outside_references(model_with(initializers=(tensor,)).SerializeToString(), "m")


def test_weights_inside_the_file_are_fine_in_every_encoding() -> None:
    values = np.arange(4, dtype=np.float32)
    raw = numpy_helper.from_array(values, "raw")
    listed = helper.make_tensor("listed", TensorProto.FLOAT, [4], values)
    text = helper.make_tensor("text", TensorProto.STRING, [1], [b"\x6a\x02ab"])
    refuse_outside_references(model_with(initializers=(raw, listed, text)).SerializeToString(), "m")


def test_a_compiled_engine_is_refused_also_in_a_subgraph() -> None:
    branch = helper.make_graph([helper.make_node("EPContext", [], ["y"], domain="com.microsoft")], "sub", [], [])
    for model in (
        model_with(helper.make_node("EPContext", [], ["y"], domain="com.microsoft")),
        model_with(helper.make_node("If", ["x"], ["y"], then_branch=branch)),
    ):
        with pytest.raises(BundleError, match="holds an engine compiled for one machine"):
            refuse_outside_references(model.SerializeToString(), "m")


def test_a_deep_nest_of_graphs_is_walked_to_its_end() -> None:
    content = external().SerializeToString()

    def wrapped(number: int, inner: bytes) -> bytes:
        length, encoded = len(inner), bytearray()
        while length > 127:
            encoded.append(length & 127 | 128)
            length >>= 7
        return bytes([number << 3 | 2]) + bytes([*encoded, length]) + inner

    content = wrapped(5, content)
    for _ in range(2000):  # graph > node > attribute > graph ...
        content = wrapped(1, wrapped(5, wrapped(6, content)))
    with pytest.raises(BundleError, match="another file"):
        refuse_outside_references(wrapped(7, content), "m")


def test_the_table_of_fields_is_complete_for_the_installed_onnx_format() -> None:
    """Every field through which a message can lead to a tensor or a node is in the table, and no other."""
    targets = {"TensorProto", "NodeProto"}
    messages = {message.name: message for message in onnx.ModelProto.DESCRIPTOR.file.message_types_by_name.values()}

    def children(name: str) -> dict[int, str]:
        return {f.number: f.message_type.name for f in messages[name].fields if f.message_type is not None}

    leads_there = set(targets)
    while grown := {name for name in messages if leads_there & set(children(name).values())} - leads_there:
        leads_there |= grown
    expected, todo = {}, ["ModelProto"]
    while todo:
        name = todo.pop()
        if name not in expected:
            expected[name] = {number: child for number, child in children(name).items() if child in leads_there}
            todo.extend(expected[name].values())
    assert expected == onnx_references._CHILDREN
    tensor, node = messages["TensorProto"].fields_by_name, messages["NodeProto"].fields_by_name
    assert tensor["external_data"].number == onnx_references._TENSOR_EXTERNAL_DATA
    assert tensor["data_location"].number == onnx_references._TENSOR_DATA_LOCATION
    assert node["op_type"].number == onnx_references._NODE_OP_TYPE


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_a_sentence_or_nothing(content: bytes) -> None:
    with contextlib.suppress(BundleError):
        refuse_outside_references(content, "m")


def test_a_model_cut_off_inside_its_weights_is_noticed(
    make_card: Callable[..., Card], make_onnx: Callable[..., onnx.ModelProto], tmp_path: Path
) -> None:
    content = make_onnx(make_card()).SerializeToString()
    with pytest.raises(BundleError, match="is not an ONNX model, or is cut off"):
        refuse_outside_references(content[: len(content) // 2], "m")
