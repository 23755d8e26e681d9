import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from models import Bundle, Card, EmbeddingSpec, InputSpec, Licence, Outputs
from service.gallery import GallerySettings
from service.gallery.embedded import EmbeddedEngine
from service.indexing import Embedder


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose network is one random matrix over crops of 8 x 4, with viewpoints that are always the same."""
    rng = np.random.default_rng(0)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["crops"], ["as_float"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["as_float"], ["flat"]),
            helper.make_node("MatMul", ["flat", "W"], ["embedding"]),
            helper.make_node("MatMul", ["flat", "Z"], ["nothing"]),
            helper.make_node("Softmax", ["nothing"], ["viewpoint"]),
        ],
        "matrix",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", 8, 4, 3])],
        [
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 6]),
            helper.make_tensor_value_info("viewpoint", TensorProto.FLOAT, ["N", 3]),
        ],
        [
            numpy_helper.from_array(rng.normal(size=(96, 6)).astype(np.float32), "W"),
            numpy_helper.from_array(np.zeros((96, 3), np.float32), "Z"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10).SerializeToString()
    folder = tmp_path_factory.mktemp("zoo") / "matrix"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model)
    Card(
        schema_version=1,
        name="matrix",
        version="1",
        sha256=hashlib.sha256(model).hexdigest(),
        licence=Licence(weights="Apache-2.0", training_data="none"),
        input=InputSpec(name="crops", height=8, width=4, resize="bilinear", layout="NHWC", dtype="uint8", colour="RGB"),
        outputs=Outputs(embedding="embedding", viewpoint="viewpoint"),
        embedding=EmbeddingSpec(dimension=6, normalised=False, metric="cosine"),
        uncalibrated_because="a matrix was never measured",
    ).save(folder / "card.json")
    return folder


@pytest.fixture
def embedder(bundle_folder: Path) -> Embedder:
    return Embedder(Bundle.open(bundle_folder), device="cpu", threads=2, batch=4)


@pytest.fixture
def engine(tmp_path: Path, embedder: Embedder) -> Iterator[EmbeddedEngine]:
    """With an empty gallery `g` for the model of `embedder`."""
    with EmbeddedEngine.open(tmp_path / "data") as opened:
        opened.create("g", GallerySettings.for_model(embedder.session.card))
        yield opened


@pytest.fixture
def picture() -> Callable[..., Path]:
    """Writes a picture; equal seeds give equal bytes."""

    def write(path: Path, seed: int = 0, size: tuple[int, int] = (32, 16)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write
