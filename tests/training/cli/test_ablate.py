"""The command, on runs of a second and on runs that are only pretended."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from training.cli.ablate import ablate
from training.errors import TrainingError
from training.fit import FitResult
from training.fit_errors import NonFiniteLossError
from training.recipe_reading import RECIPES
from training.scoreboard import Scoreboard

app = typer.Typer()
app.command()(ablate)

RECIPE = """extends = "tiny"
description = "for tests"
[network]
height = 32
width = 16
[loss.cross_entropy]
[batch]
people = 4
pictures = 2
passes = 1
[run]
hold_out = 3
"""


@pytest.fixture
def words(small_data: str, tmp_path: Path, one_cpu_thread: None) -> list[str]:
    (tmp_path / "small.toml").write_text(RECIPE)
    needed = ["--data", small_data, "--out", str(tmp_path / "runs"), "--base", str(tmp_path / "small.toml")]
    return [*needed, "--epochs", "1", "--device", "cpu", "--recipes", "xent,va", "--seeds", "0"]


def test_it_runs_prints_the_table_writes_json_and_goes_on_where_it_was(words, tmp_path):
    first = CliRunner().invoke(app, [*words, "--json", str(tmp_path / "a.json")])
    assert first.exit_code == 0, first.exception
    assert "run 2 of 2: va with seed 0" in first.output
    assert "89.97" in first.output
    content = json.loads((tmp_path / "a.json").read_text())
    assert [row["row"] for row in content["rows"]] == ["xent", "va"]
    assert content["command"].startswith("vantage-train ablate --data synthetic:")
    assert "--epochs 1" in content["command"]

    again = CliRunner().invoke(app, [*words, "--json", str(tmp_path / "b.json")])
    assert again.exit_code == 0
    assert "run 2 of 2, va with seed 0: finished before" in again.output
    assert "epoch 1/1" in first.output
    assert "epoch 1/1" not in again.output
    assert json.loads((tmp_path / "b.json").read_text())["rows"] == content["rows"]


def test_a_failed_run_is_exit_3_and_a_stopped_one_the_signals_code(words, monkeypatch):
    def fails(data: str, recipe: Any, out: Path, **_options: Any) -> FitResult:
        raise NonFiniteLossError("the loss is no number at step 3")

    monkeypatch.setattr("training.ablation.running.fit", fails)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 3
    assert "va with seed 0 failed: the loss is no number at step 3" in result.output
    assert "2 runs failed" in result.output

    monkeypatch.setattr("training.ablation.running.fit", lambda d, r, out, **_: FitResult(out, 1, Scoreboard(), 143))
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 143
    assert "stopped after 0 runs; the same command goes on from here" in result.output


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--seeds", "0,x", "seeds are '0,x': give whole numbers"),
        ("--recipes", "xnet", "did you mean xent"),
        ("--data", "folder:nowhere", "nowhere"),
        ("--json", "nowhere/a.json", "cannot be written"),
        ("--device", "tpu", "device is 'tpu'"),
    ],
)
def test_what_a_user_can_mend_is_said_before_anything_runs(words, tmp_path, option, value, sentence):
    result = CliRunner().invoke(app, [*words, option, value])
    assert isinstance(result.exception, TrainingError)
    assert sentence in str(result.exception)
    assert not (tmp_path / "runs").exists()


def test_the_default_rows_exist():
    from training.ablation import parse_rows
    from training.cli.ablate import ROWS

    assert all((RECIPES / f"{row.recipe}.toml").is_file() for row in parse_rows(ROWS))
