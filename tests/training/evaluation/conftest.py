"""A model that is one matrix, and small folders of people who are colours: everything can be worked out by hand."""

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from models import Card, EmbeddingSpec, InputSpec, Licence, Outputs

HEIGHT, WIDTH, DIMENSION = 16, 8, 12
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
OWN = {"layout": "NHWC", "dtype": "uint8", "colour": "RGB"}
FOREIGN = {
    "layout": "NCHW",
    "dtype": "float32",
    "colour": "BGR",
    "scale": 1 / 255,
    "mean": MEAN,
    "std": STD,
    "fixed_batch": 4,
}


@dataclass(frozen=True)
class LinearModel:
    """A bundle whose embedding of a crop is `crop.ravel() @ weights`, divided by its length."""

    path: Path
    weights: NDArray[np.float32]
    viewpoint_weights: NDArray[np.float32]

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        """uint8 (N, H, W, 3) RGB -> float64 (N, D) of length 1, without onnxruntime."""
        raw = crops.reshape(len(crops), -1).astype(np.float64) @ self.weights
        return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True))

    def viewpoints(self, crops: NDArray[np.uint8]) -> NDArray[np.int64]:
        return np.asarray((crops.reshape(len(crops), -1) @ self.viewpoint_weights).argmax(axis=1))


@pytest.fixture
def linear_model(tmp_path: Path) -> Callable[..., LinearModel]:
    """Write one. foreign: it wants BGR floats, channels first, normalised, four at a time, and gives long vectors.

    Both kinds are the same function of the pixels: the foreign graph undoes what its card asks for.
    """

    def make(
        *, viewpoint: bool = False, foreign: bool = False, weights: NDArray[np.float32] | None = None, **facts: Any
    ) -> LinearModel:
        random = np.random.default_rng(7)
        pixels = HEIGHT * WIDTH * 3
        if weights is None:
            weights = random.normal(0, 0.01, (pixels, DIMENSION)).astype(np.float32)
            weights -= weights.mean(axis=0)
        looks = random.normal(0, 0.001, (pixels, 3)).astype(np.float32)
        content = _graph(weights, looks if viewpoint else None, foreign).SerializeToString()
        spec = {"name": "crops", "height": HEIGHT, "width": WIDTH, "resize": "bilinear"}
        known = {
            "schema_version": 1,
            "name": "foreign" if foreign else "toy",
            "version": "1",
            "sha256": hashlib.sha256(content).hexdigest(),
            "licence": Licence(weights="Apache-2.0", training_data="random numbers, no terms"),
            "input": InputSpec(**spec, **(FOREIGN if foreign else OWN)),
            "outputs": Outputs(embedding="embedding", viewpoint="viewpoint" if viewpoint else None),
            "embedding": EmbeddingSpec(dimension=weights.shape[1], normalised=not foreign, metric="cosine"),
            "uncalibrated_because": "random weights mean nothing",
        }
        card = Card(**(known | facts))
        directory = tmp_path / card.name
        directory.mkdir()
        (directory / "model.onnx").write_bytes(content)
        card.save(directory / "card.json")
        return LinearModel(directory, weights, looks)

    return make


def _graph(weights: NDArray[np.float32], looks: NDArray[np.float32] | None, foreign: bool) -> onnx.ModelProto:
    kind, sides, batch = (
        (TensorProto.FLOAT, [3, HEIGHT, WIDTH], 4) if foreign else (TensorProto.UINT8, [HEIGHT, WIDTH, 3], "N")
    )
    nodes = [helper.make_node("Cast", ["crops"], ["as_float"], to=TensorProto.FLOAT)]
    constants = {"W": weights}
    pixels = "as_float"
    if foreign:
        nodes += [
            helper.make_node("Mul", ["as_float", "std"], ["scaled"]),
            helper.make_node("Add", ["scaled", "mean"], ["moved"]),
            helper.make_node("Mul", ["moved", "white"], ["bgr"]),
            helper.make_node("Gather", ["bgr", "turned"], ["rgb"], axis=1),
            helper.make_node("Transpose", ["rgb"], ["pixels"], perm=[0, 2, 3, 1]),
        ]
        constants |= {
            "mean": np.array(MEAN, np.float32).reshape(1, 3, 1, 1),
            "std": np.array(STD, np.float32).reshape(1, 3, 1, 1),
            "white": np.array(255, np.float32),
            "turned": np.array([2, 1, 0], np.int64),
        }
        pixels = "pixels"
    nodes += [helper.make_node("Flatten", [pixels], ["flat"]), helper.make_node("MatMul", ["flat", "W"], ["product"])]
    if foreign:
        nodes.append(helper.make_node("Identity", ["product"], ["embedding"]))
    else:
        nodes.append(helper.make_node("LpNormalization", ["product"], ["embedding"], axis=1, p=2))
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, weights.shape[1]])]
    if looks is not None:
        nodes += [
            helper.make_node("MatMul", ["flat", "V"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["viewpoint"], axis=1),
        ]
        outputs.append(helper.make_tensor_value_info("viewpoint", TensorProto.FLOAT, [batch, 3]))
        constants["V"] = looks
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("crops", kind, [batch, *sides])],
        outputs,
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


@pytest.fixture
def colourful_market(tmp_path: Path) -> Callable[..., Path]:
    """A folder of Market-1501's form. A person is three stripes of colour, a camera a tint; noise makes it hard."""

    def make(
        people: int = 7,
        cameras: int = 3,
        each: int = 2,
        *,
        distractors: int = 5,
        junk: int = 3,
        pooled: int = 0,
        viewpoints: bool = False,
        seed: int = 0,
    ) -> Path:
        root = tmp_path / "market"
        random = np.random.default_rng(seed)
        stripes = random.integers(40, 216, (people + 2, 3, 3))
        tints = random.integers(-25, 26, (cameras + 1, 3))
        views: list[tuple[str, str]] = []

        def draw(folder: str, person: str, camera: int, frame: int, looks: NDArray[np.int64]) -> None:
            name = f"{folder}/{person}_c{camera}s1_{frame:06d}_00.png"
            body = np.repeat(looks, (6, 6, 8), axis=0)[:, None] + np.zeros((20, 10, 3))
            noisy = body + tints[camera] + random.normal(0, 45, (20, 10, 3))
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(root / name)
            views.append((name, ("front", "side", "back")[int(random.integers(3))]))

        for person in range(people):
            label = f"{person + 1:04d}"
            for camera in range(1, cameras + 1) if person % 3 else range(1, 3):
                draw("query", label, camera, 1, stripes[person])
                for frame in range(2, 2 + each):
                    draw("bounding_box_test", label, camera, frame, stripes[person])
                for frame in range(50, 50 + pooled):
                    draw("gt_bbox", label, camera, frame, stripes[person])
        for frame in range(distractors):
            draw("bounding_box_test", "0000", 1 + frame % cameras, frame, random.integers(40, 216, (3, 3)))
        for frame in range(junk):
            draw("bounding_box_test", "-1", 1 + frame % cameras, frame, stripes[0])
        for person in (people, people + 1):
            for camera in (1, 2):
                for frame in (1, 2):
                    draw("bounding_box_train", f"{person + 1:04d}", camera, frame, stripes[person])
        if viewpoints:
            with (root / "viewpoints.csv").open("w", newline="") as file:
                csv.writer(file).writerows([("path", "viewpoint"), *views])
        return root

    return make
