import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from models import Card, EmbeddingSpec, InputSpec, Licence, Outputs
from service.cli import main

CALIBRATION = {
    "dataset": "toys",
    "bins": 2,
    "same": [0, 10],
    "different": [5, 5],
    "same_pairs": 10,
    "different_pairs": 10,
    "thresholds": [
        {
            "false_accept_rate": rate,
            "threshold": threshold,
            "true_accept_rate": 0.5,
            "negatives": 10,
            "positives": 10,
        }
        for rate, threshold in ((0.01, 0.6), (0.001, 0.95))
    ],
    "reason": None,
    "metric": "cosine",
    "command": "none",
}


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A model whose network takes the mean colour of a crop, and whose card may say what scores mean."""

    def make(name: str, calibrated: bool = True, seed: int = 0) -> Path:
        matrix = np.random.default_rng(seed).normal(size=(96, 6)).astype(np.float32)
        graph = helper.make_graph(
            [
                helper.make_node("Cast", ["crops"], ["as_float"], to=TensorProto.FLOAT),
                helper.make_node("Flatten", ["as_float"], ["flat"]),
                helper.make_node("Sub", ["flat", "grey"], ["centred"]),
                helper.make_node("MatMul", ["centred", "W"], ["embedding"]),
            ],
            "matrix",
            [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", 8, 4, 3])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 6])],
            [numpy_helper.from_array(matrix, "W"), numpy_helper.from_array(np.float32(127.3), "grey")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
        content = model.SerializeToString()
        folder = tmp_path_factory.mktemp("bundle") / name
        folder.mkdir()
        (folder / "model.onnx").write_bytes(content)
        Card(
            schema_version=1,
            name=name,
            version="1",
            sha256=hashlib.sha256(content).hexdigest(),
            licence=Licence(weights="Apache-2.0", training_data="none"),
            input=InputSpec(
                name="crops", height=8, width=4, resize="bilinear", layout="NHWC", dtype="uint8", colour="RGB"
            ),
            outputs=Outputs(embedding="embedding"),
            embedding=EmbeddingSpec(dimension=6, normalised=False, metric="cosine"),
            uncalibrated_because="it was never measured",
        ).save(folder / "card.json")
        if calibrated:
            card = json.loads((folder / "card.json").read_text())
            card |= {"calibration": CALIBRATION, "uncalibrated_because": None}
            (folder / "card.json").write_text(json.dumps(card))
        return folder

    return make


@pytest.fixture(scope="session")
def bundle(make_bundle: Callable[..., Path]) -> Path:
    return make_bundle("matrix")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people of two crops each, two cameras: the crops of one person are alike."""
    folder = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(1)
    for person in range(1, 5):
        colours = rng.integers(0, 256, (8, 4, 3))
        for camera in (1, 2):
            noisy = np.clip(colours + rng.integers(-20, 20, colours.shape), 0, 255).astype(np.uint8)
            big = Image.fromarray(noisy).resize((32, 64), Image.Resampling.NEAREST)
            big.save(folder / f"{person:04}_c{camera}s1_{person:06}_00.png")
    return folder


@pytest.fixture
def vantage(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process, in an empty folder; exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exited:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(exited.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def indexed(vantage: Callable[..., tuple[int, str, str]], bundle: Path, pictures: Path) -> Path:
    """The folder's default data directory, with a gallery `g` of `pictures`, crops kept."""
    code, _, err = vantage(
        "index", pictures, "-g", "g", "--model", bundle, "--pattern", "market1501", "--store-crops", "--decoders", 0
    )
    assert (code, err) == (0, "")
    return Path("vantage-data")
