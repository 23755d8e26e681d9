import subprocess
import sys

import pytest

import training.cli
from models import ModelError
from retrieval import RetrievalError
from training.errors import TrainingError


def test_looking_at_data_brings_neither_torch_nor_onnxruntime_nor_faiss():
    program = (
        "import sys, training.cli, training.data.check_text;"
        "print({'torch', 'onnxruntime', 'onnx', 'faiss', 'matplotlib'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


@pytest.mark.parametrize("kind", [TrainingError, ModelError, RetrievalError])
def test_what_a_user_can_mend_is_a_sentence_on_stderr_and_exit_1(kind, monkeypatch, capsys):
    def fail(**_settings):
        raise kind("the recipe is misspelt: write tiny")

    monkeypatch.setattr(training.cli, "app", fail)
    with pytest.raises(SystemExit) as left:
        training.cli.main([])
    assert left.value.code == 1
    assert capsys.readouterr().err == "vantage-train: the recipe is misspelt: write tiny\n"


def test_a_mistake_of_ours_is_not_passed_off_as_the_user_s(monkeypatch):
    def fail(**_settings):
        raise ValueError("zip() argument 2 is longer than argument 1")

    monkeypatch.setattr(training.cli, "app", fail)
    with pytest.raises(ValueError, match="zip"):
        training.cli.main([])


def test_the_module_is_the_command():
    answer = subprocess.run([sys.executable, "-m", "training", "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("vantage-train ")
