from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from training.cli.fit import fit
from training.fit import FitResult
from training.fit_errors import RecipeError
from training.scoreboard import Scoreboard

app = typer.Typer()
app.command()(fit)

NEEDED = ["--data", "synthetic:people=4", "--recipe", "tiny", "--out", "run"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the command hands to the function that trains."""
    seen: list[dict[str, Any]] = []

    def trains(data: str, recipe: Any, out: Path, **options: Any) -> FitResult:
        seen.append({"data": data, "recipe": recipe, "out": out} | options)
        stopped_by = 143 if options["seed"] == 143 else 0
        if options["seed"] == 130:
            raise KeyboardInterrupt
        return FitResult(out, 1, Scoreboard(), stopped_by)

    monkeypatch.setattr("training.fit.fit", trains)
    return seen


def test_options_reach_the_run_and_replace_what_the_recipe_says(calls: list[dict[str, Any]]) -> None:
    assert CliRunner().invoke(app, [*NEEDED, "--epochs", "3", "--device", "cpu", "--resume"]).exit_code == 0
    assert CliRunner().invoke(app, [*NEEDED, "--weights", "x.pth", "--threads", "1"]).exit_code == 0
    first, second = calls
    assert (first["data"], first["out"], first["resume"], first["device"]) == (NEEDED[1], Path("run"), True, "cpu")
    assert (first["recipe"].schedule.epochs, first["recipe"].network.weights) == (3, "random")
    assert (second["recipe"].network.weights, second["threads"], second["device"]) == ("x.pth", 1, "auto")


@pytest.mark.parametrize("code", [130, 143])
def test_a_stopped_run_leaves_with_the_signals_code(calls: list[dict[str, Any]], code: int) -> None:
    assert CliRunner().invoke(app, [*NEEDED, "--seed", str(code)]).exit_code == code


def test_a_recipe_that_does_not_exist_is_an_error_for_main() -> None:
    result = CliRunner().invoke(app, ["--data", "x", "--recipe", "tinny", "--out", "run"])
    assert isinstance(result.exception, RecipeError)
