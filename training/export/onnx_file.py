"""A served model as one ONNX file: any batch size, weights inside, and none of the exporter's notes."""

import io

import onnx
import torch
from onnx.external_data_helper import uses_external_data

from models import Card, metadata_from_card
from training.export.errors import ExportError
from training.networks import ServedModel
from training.served_input import INPUT

_LARGEST = 2**31 - 1  # bytes of one protobuf message


def onnx_graph(served: ServedModel) -> onnx.ModelProto:
    """The graph: `crops` uint8 (any, H, W, 3) -> `embedding` float32 (any, D) and, if there, `viewpoint` (any, 3)."""
    settings = served.network.settings
    # Two crops and not one: the exporter takes a batch of 1 for a promise that it will always be 1.
    example = torch.zeros((2, settings.height, settings.width, 3), dtype=torch.uint8)
    try:
        program = torch.onnx.export(
            served,
            (example,),
            input_names=[INPUT],
            output_names=list(served.output_names),
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
            dynamo=True,
            verbose=False,
        )
    except Exception as error:  # the exporter raises whatever its stages do
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(
            f"torch cannot turn the backbone {settings.backbone} into ONNX with a batch of any size: {reason}"
        ) from error
    assert program is not None
    return _without_notes(program.model_proto)


def onnx_bytes(graph: onnx.ModelProto, card: Card) -> bytes:
    """The file: the graph, with the card's facts in its metadata."""
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    onnx.helper.set_model_props(model, metadata_from_card(card))
    if model.ByteSize() > _LARGEST:
        raise ExportError(
            f"the network takes {model.ByteSize():,} bytes, and one ONNX file holds {_LARGEST:,}: weights in further "
            "files are not served, so choose a smaller backbone"
        )
    content: bytes = model.SerializeToString()
    onnx.checker.check_model(onnx.load(io.BytesIO(content)))
    return content


def _without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Notes for debugging hold the paths and source lines of the machine that exported."""
    assert not any(uses_external_data(tensor) for tensor in model.graph.initializer)
    graph = model.graph
    model.doc_string = ""
    graph.doc_string = ""
    for owner in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        del owner.metadata_props[:]
    for named in (*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        named.doc_string = ""
    return model
