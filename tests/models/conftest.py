"""Small real models: a linear layer over all pixels, in every shape that a card can describe."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.card import Card, EmbeddingSpec, InputSpec, Licence, Outputs

HEIGHT, WIDTH, DIMENSION = 8, 4, 6
_ONNX_TYPES = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}


@pytest.fixture
def weights() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """W: float32 (H * W * 3, D) for embeddings and V: float32 (H * W * 3, 3) for viewpoints, over flattened input."""
    random = np.random.default_rng(7)
    pixels = HEIGHT * WIDTH * 3
    return (
        random.normal(0, 0.01, (pixels, DIMENSION)).astype(np.float32),
        random.normal(0, 0.001, (pixels, 3)).astype(np.float32),
    )


@pytest.fixture
def make_spec() -> Callable[..., InputSpec]:
    def make(**changes: Any) -> InputSpec:
        own_export = {
            "name": "crops",
            "height": HEIGHT,
            "width": WIDTH,
            "resize": "bilinear",
            "layout": "NHWC",
            "dtype": "uint8",
            "colour": "RGB",
        }
        return InputSpec(**(own_export | changes))

    return make


@pytest.fixture
def make_onnx(weights: tuple[NDArray[np.float32], NDArray[np.float32]]) -> Callable[..., onnx.ModelProto]:
    """Build the graph of a card: flatten, multiply by W, and whatever the card says of the output."""

    def make(card: Card, *, metadata: dict[str, str] | None = None, half: bool = False) -> onnx.ModelProto:
        spec, batch = card.input, card.input.fixed_batch or "N"
        sides = {"NHWC": [HEIGHT, WIDTH, 3], "NCHW": [3, HEIGHT, WIDTH]}[spec.layout]
        numbers = np.float16 if half else np.float32
        kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        nodes = [
            helper.make_node("Cast", [spec.name], ["as_float"], to=kind),
            helper.make_node("Flatten", ["as_float"], ["flat"]),
            helper.make_node("MatMul", ["flat", "W"], ["product"]),
        ]
        if card.embedding.normalised:
            nodes.append(helper.make_node("LpNormalization", ["product"], ["vector"], axis=1, p=2))
        else:
            nodes.append(helper.make_node("Identity", ["product"], ["vector"]))
        nodes.append(helper.make_node("Cast", ["vector"], [card.outputs.embedding], to=kind))
        outputs = [helper.make_tensor_value_info(card.outputs.embedding, kind, [batch, DIMENSION])]
        initializers = [numpy_helper.from_array(weights[0].astype(numbers), "W")]
        if card.outputs.viewpoint:
            nodes.append(helper.make_node("MatMul", ["flat", "V"], ["logits"]))
            nodes.append(helper.make_node("Softmax", ["logits"], [card.outputs.viewpoint], axis=1))
            outputs.append(helper.make_tensor_value_info(card.outputs.viewpoint, kind, [batch, 3]))
            initializers.append(numpy_helper.from_array(weights[1].astype(numbers), "V"))
        graph = helper.make_graph(
            nodes,
            "toy",
            [helper.make_tensor_value_info(spec.name, _ONNX_TYPES[spec.dtype], [batch, *sides])],
            outputs,
            initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
        helper.set_model_props(model, metadata or {})
        return model

    return make


@pytest.fixture
def make_card(make_spec: Callable[..., InputSpec]) -> Callable[..., Card]:
    def make(
        *, viewpoint: bool = False, normalised: bool = True, spec: dict[str, Any] | None = None, **more: Any
    ) -> Card:
        facts = {
            "schema_version": 1,
            "name": "toy",
            "version": "1",
            "sha256": "0" * 64,
            "licence": Licence(weights="Apache-2.0", training_data="random numbers, no terms"),
            "input": make_spec(**(spec or {})),
            "outputs": Outputs(embedding="embedding", viewpoint="viewpoint" if viewpoint else None),
            "embedding": EmbeddingSpec(dimension=DIMENSION, normalised=normalised, metric="cosine"),
            "uncalibrated_because": "random weights mean nothing",
        }
        return Card(**(facts | more))

    return make


@pytest.fixture
def make_bundle(tmp_path: Path, make_onnx: Callable[..., onnx.ModelProto]) -> Callable[..., Path]:
    """Write a bundle whose card carries the hash of its file; `model` replaces the graph that fits the card."""

    def make(card: Card, model: onnx.ModelProto | bytes | None = None, directory: Path | None = None) -> Path:
        directory = directory or tmp_path / card.name
        directory.mkdir(parents=True, exist_ok=True)
        model = make_onnx(card) if model is None else model
        content = model if isinstance(model, bytes) else model.SerializeToString()
        (directory / "model.onnx").write_bytes(content)
        card.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()}).save(directory / "card.json")
        return directory

    return make
