import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from models import Card, EmbeddingSpec, InputSpec, Licence, Outputs, Result
from service.cli import main


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """A bundle under tmp_path / "zoo" whose network is one matrix, random from a fixed seed."""

    def make(name: str, results: tuple[Result, ...] = (), **input_changes: object) -> Path:
        matrix = np.random.default_rng(0).normal(size=(96, 6)).astype(np.float32)
        graph = helper.make_graph(
            [
                helper.make_node("Cast", ["crops"], ["as_float"], to=TensorProto.FLOAT),
                helper.make_node("Flatten", ["as_float"], ["flat"]),
                helper.make_node("MatMul", ["flat", "W"], ["embedding"]),
            ],
            "matrix",
            [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", 8, 4, 3])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 6])],
            [numpy_helper.from_array(matrix, "W")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
        directory = tmp_path / "zoo" / name
        directory.mkdir(parents=True)
        content = model.SerializeToString()
        (directory / "model.onnx").write_bytes(content)
        spec = {"height": 8, "width": 4, "resize": "bilinear", "layout": "NHWC", "dtype": "uint8", "colour": "RGB"}
        Card(
            schema_version=1,
            name=name,
            version="1.2",
            sha256=hashlib.sha256(content).hexdigest(),
            licence=Licence(weights="Apache-2.0", training_data="none"),
            input=InputSpec(name="crops", **(spec | input_changes)),  # type: ignore[arg-type]
            outputs=Outputs(embedding="embedding"),
            embedding=EmbeddingSpec(dimension=6, normalised=False, metric="cosine"),
            results=results,
            uncalibrated_because="random weights",
        ).save(directory / "card.json")
        return directory

    return make


@pytest.fixture
def vantage(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process; exit code, standard output, standard error."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exited:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(exited.value.code or 0), printed.out, printed.err

    return run


Run = Callable[..., tuple[int, str, str]]
Bundles = Callable[..., Path]


def test_check_reports_what_runs_and_how(vantage: Run, make_bundle: Bundles) -> None:
    directory = make_bundle("matrix")
    code, out, err = vantage("model", "check", directory, "--device", "cpu", "--threads", "1", "--batch", "5")
    assert (code, err) == (0, "")
    assert "matrix 1.2, float32" in out
    assert "crops: uint8 [any, 8, 4, 3]" in out  # and not taken for a colour
    assert "embedding: float [any, 6]" in out
    assert "CPUExecutionProvider" in out
    assert "crops/s in batches of 5" in out


def test_check_in_json_is_for_programs(vantage: Run, make_bundle: Bundles) -> None:
    directory = make_bundle("matrix")
    code, out, err = vantage("model", "check", directory, "--device", "cpu", "--threads", "1", "--json")
    facts = json.loads(out)
    assert (code, err) == (0, "")
    assert facts["sha256"] == hashlib.sha256((directory / "model.onnx").read_bytes()).hexdigest()
    assert facts["provider"] == "CPUExecutionProvider"
    assert facts["device"] == "cpu"
    assert facts["fallback_reason"] is None
    assert facts["inputs"] == ["crops: uint8 [any, 8, 4, 3]"]
    assert facts["batch"] == 32
    assert 0 <= facts["single_difference"] <= facts["tolerance"] == 1e-5
    assert facts["crops_per_second"] > 0


def test_check_says_why_auto_is_on_the_cpu(vantage: Run, make_bundle: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    _, out, _ = vantage("model", "check", make_bundle("matrix"), "--threads", "1", "--json")
    assert "device cuda cannot be used" in json.loads(out)["fallback_reason"]


def test_a_problem_is_a_sentence_on_stderr_and_exit_1(
    vantage: Run, make_bundle: Bundles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    changed = make_bundle("changed")
    with (changed / "model.onnx").open("ab") as file:
        file.write(b"\0")
    misspelt = make_bundle("misspelt")
    card = misspelt / "card.json"
    card.write_text(card.read_text().replace('"height"', '"heigth"'))
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    for arguments, sentence in (
        (["check", tmp_path / "nowhere"], "nowhere is not a directory"),
        (["check", changed], "model.onnx has sha256 "),
        (["check", misspelt], "did you mean input.height?"),
        (["check", make_bundle("tall", height=16)], "the card says that the input is NHWC [any, 16, 4, 3]"),
        (["check", make_bundle("fine"), "--device", "cuda"], "device cuda cannot be used"),
        (["check", make_bundle("other"), "--precision", "float16"], "other has no file in float16"),
        (["list", "--zoo", tmp_path / "nowhere"], "nowhere is not a directory"),
    ):
        code, out, err = vantage("model", *arguments)
        assert (code, out) == (1, ""), arguments
        assert err.startswith("vantage: ")
        assert sentence in err
        assert "Traceback" not in err


def test_a_wrong_option_is_a_usage_error(vantage: Run, make_bundle: Bundles) -> None:
    for option in (["--device", "gpu"], ["--batch", "0"], ["--threads", "none"], ["--bathc", "3"]):
        code, out, err = vantage("model", "check", make_bundle(f"for{option[0]}{option[1]}".replace("-", "x")), *option)
        assert (code, out) == (2, "")
        assert option[0] in err


def test_list_shows_each_bundle_in_a_line(vantage: Run, make_bundle: Bundles, tmp_path: Path) -> None:
    result = Result(
        dataset="toys",
        protocol="single query",
        average_precision="trapezoid",
        mean_ap=0.875,
        cmc_1=0.9,
        cmc_5=0.95,
        cmc_10=0.99,
        minp=0.5,
        command="vantage-train evaluate",
    )
    make_bundle("second")
    make_bundle("first", (result,))
    code, out, err = vantage("model", "list", "--zoo", tmp_path / "zoo")
    assert (code, err) == (0, "")
    assert out.index("first ") < out.index("second ")
    assert "8 x 4" in out
    assert "mAP 87.5%" in out
    code, out, _ = vantage("model", "list", "--zoo", tmp_path / "zoo", "--json")
    facts = json.loads(out)
    assert [fact["name"] for fact in facts] == ["first", "second"]
    assert facts[0]["results"][0]["mean_ap"] == 0.875
    assert facts[0]["path"] == str(tmp_path / "zoo" / "first")


def test_list_shows_the_good_bundles_and_complains_of_the_others(
    vantage: Run, make_bundle: Bundles, tmp_path: Path
) -> None:
    make_bundle("good")
    (make_bundle("bad") / "card.json").write_text("{}")
    code, out, err = vantage("model", "list", "--zoo", tmp_path / "zoo")
    assert code == 1
    assert "good" in out
    assert "card.json: schema_version is missing" in err


def test_an_empty_zoo_is_a_sentence_and_no_error(vantage: Run, tmp_path: Path) -> None:
    code, out, err = vantage("model", "list", "--zoo", tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith(f"There is no bundle in {tmp_path}.")
    code, out, _ = vantage("model", "list", "--zoo", tmp_path, "--json")
    assert (code, json.loads(out)) == (0, [])


def test_help_names_every_option(vantage: Run) -> None:
    _, out, _ = vantage("model", "check", "--help")
    for word in ("--device", "auto|cpu|cuda|tensorrt", "--precision", "--threads", "--batch", "--json", "DIR"):
        assert word in out
    assert "model" in vantage("--help")[1]


def test_the_version_is_printed(vantage: Run) -> None:
    code, out, _ = vantage("--version")
    assert code == 0
    assert out.startswith("vantage ")


def test_python_m_service_is_the_command_and_help_imports_nothing_heavy() -> None:
    program = (
        "import runpy, sys\n"
        "sys.argv = ['vantage', '--help']\n"
        "try:\n"
        "    runpy.run_module('service', run_name='__main__')\n"
        "except SystemExit:\n"
        "    print(sorted({'onnxruntime', 'faiss', 'torch', 'scipy', 'fastapi'} & set(sys.modules)))\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Person re-identification" in answer.stdout
    assert answer.stdout.splitlines()[-1] == "[]"
    assert answer.stderr == ""
