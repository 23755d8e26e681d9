"""`vantage-train export` on a run's best.pt."""

from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from models import Card
from training.cli.export import export
from training.errors import TrainingError
from training.export.run_facts import export_facts
from training.recipe_reading import read_recipe
from training.trained import TrainedNetwork, write_trained

DATA = "synthetic:people=24,cameras=3,seed=1,size=64x32"


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(export)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def trained(network) -> TrainedNetwork:
    recipe = read_recipe("xent")
    return TrainedNetwork(
        network=network,
        recipe=replace(recipe, network=replace(recipe.network, height=64, width=32)),
        seed=5,
        epoch=7,
        data={"spec": DATA, "name": "synthetic"},
        versions={"torch": "9.9"},
        validation_map=0.5,
    )


@pytest.fixture
def best(trained, tmp_path, monkeypatch) -> Path:
    """A run. Its network has fewer blocks than its settings say, so it is handed over and not rebuilt."""
    folder = tmp_path / "run"
    folder.mkdir()
    write_trained(folder / "best.pt", trained)
    monkeypatch.setattr("training.trained.read_trained", lambda run: trained)
    return folder


def test_an_exported_run_is_a_bundle_with_its_facts(run, best, tmp_path):
    out = tmp_path / "zoo" / "mine"
    result = run(best, "--out", out, "--no-float16", "--workers", 1, "--licence", "MIT")
    assert result.exit_code == 0, result.exception
    assert "model.onnx gives what the network gives" in result.output
    card = Card.load(tmp_path / "zoo" / "mine" / "card.json")
    assert card.name == "mine"
    assert (card.training.recipe, card.training.seed, card.training.epochs) == ("xent", 5, 7)
    assert card.training.dataset == DATA
    assert card.training.versions == {"torch": "9.9"}
    assert card.licence.weights == "MIT"
    page = (tmp_path / "zoo" / "mine" / "README.md").read_text()
    assert "Recipe: xent, seed 5, 7 epochs" in page


@pytest.mark.parametrize("resize", ["bilinear", "lanczos"])
def test_a_bundle_is_fed_as_its_network_was_in_training(trained, resize):
    table = replace(trained.recipe.network, resize=resize)
    facts = export_facts(replace(trained, recipe=replace(trained.recipe, network=table)), name="x", version="1")
    assert facts.input == table.input
    assert facts.input.resize == resize


def test_what_a_user_can_mend_is_a_sentence_and_leaves_nothing(run, best, tmp_path):
    for words, sentence in (
        ((best, "--out", tmp_path), "already exists"),
        ((best, "--out", tmp_path / "a", "--name", "x/y"), "'x/y' is no name for a model"),
        ((best, "--out", tmp_path / "a", "--data", "market1501:/nowhere"), "there is no folder /nowhere"),
        ((best, "--out", tmp_path / "a", "--data", "synthetic:people=2,cameras=2"), "an export is proven on 64"),
    ):
        result = run(*words)
        assert isinstance(result.exception, TrainingError)
        assert sentence in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
