"""Ablations of real runs, each of a second or two."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from training.ablation import Failure, RunResult, Stopped
from training.ablation import running as running_module
from training.fit import FitResult, fit
from training.fit_errors import NonFiniteLossError, RunError
from training.scoreboard import Scoreboard


@pytest.fixture
def forbid_training(monkeypatch):
    def refuse(*_arguments: Any, **_options: Any) -> FitResult:
        raise AssertionError("trained again")

    monkeypatch.setattr(running_module, "fit", refuse)


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    """The finished ablation in a folder that a test may change."""
    return Path(shutil.copytree(finished[0], tmp_path / "copy"))


def test_every_row_is_run_and_scored(finished):
    out, ends = finished
    assert [(end.row, end.seed, end.again) for end in ends] == [("xent", 0, False), ("sn@xent", 0, False)]
    for end in ends:
        assert end.folder == out / end.row / "seed-0"
        assert 0 < end.scores["map_step"] <= 1
        assert set(end.scores["viewpoints"]) >= {"same_view", "cross_view"}
        assert (end.folder / "last.pt").exists()


def test_a_row_after_another_starts_from_its_backbone(finished):
    out, _ = finished
    facts = json.loads((out / "sn@xent" / "seed-0" / "run.json").read_text())
    assert facts["recipe"]["network"]["weights"] == str((out / "xent" / "seed-0" / "best.pt").resolve())
    assert json.loads((out / "xent" / "seed-0" / "run.json").read_text())["recipe"]["network"]["weights"] == "random"


@pytest.mark.usefixtures("forbid_training")
def test_what_has_finished_is_not_run_again(finished, make_ablation, ends_of):
    out, before = finished
    after = ends_of(make_ablation(out))
    assert all(end.again for end in after)
    assert [(end.row, end.seed, end.scores) for end in after] == [(end.row, end.seed, end.scores) for end in before]


def test_a_run_that_was_trained_but_not_scored_is_only_scored(finished, copied, make_ablation, ends_of):
    (copied / "xent" / "seed-0" / "result.json").unlink()
    first, second = ends_of(make_ablation(copied))
    assert (first.again, second.again) == (False, True)
    assert first.scores == finished[1][0].scores
    log = (copied / "xent" / "seed-0" / "log.jsonl").read_text()
    assert log == (finished[0] / "xent" / "seed-0" / "log.jsonl").read_text()


def test_a_run_that_fails_is_reported_and_the_others_go_on(make_ablation, ends_of, tmp_path, monkeypatch):
    def fails(data: str, recipe: Any, out: Path, **options: Any) -> FitResult:
        if recipe.name == "va":
            raise NonFiniteLossError("the loss is no number at step 3")
        if recipe.name == "ly":
            out.mkdir(parents=True)
            raise RuntimeError("out of memory")
        return fit(data, recipe, out, **options)

    monkeypatch.setattr(running_module, "fit", fails)
    va, ly, sn, last = ends_of(make_ablation(tmp_path, "va,ly,sn@va,lsr"))
    assert isinstance(va, Failure)
    assert va.reason == "the loss is no number at step 3"
    assert isinstance(ly, Failure)
    assert ly.reason == "RuntimeError: out of memory; see failure.txt there"
    assert "in fails" in (tmp_path / "ly" / "seed-0" / "failure.txt").read_text()
    assert isinstance(sn, Failure)
    assert sn.reason == "it starts from va, which failed"
    assert isinstance(last, RunResult)


def test_seed_by_seed_until_a_signal_stops_it(make_ablation, ends_of, tmp_path, monkeypatch):
    called = []

    def trains(data: str, recipe: Any, out: Path, *, seed: int, **options: Any) -> FitResult:
        called.append((recipe.name, seed))
        return FitResult(out, 1, Scoreboard(), stopped_by=143 if seed == 1 else 0)

    monkeypatch.setattr(running_module, "fit", trains)
    monkeypatch.setattr(running_module, "judge", lambda *_arguments: {})
    for recipe in ("xent", "va"):
        (tmp_path / recipe / "seed-0").mkdir(parents=True)
    *_, end = ends_of(make_ablation(tmp_path, "xent,va", seeds=[0, 1]))
    assert end == Stopped(143)
    assert called == [("xent", 0), ("va", 0), ("xent", 1)]


def test_results_of_another_recipe_or_of_other_people_are_never_taken_for_these(finished, copied, make_ablation):
    with pytest.raises(RunError, match=r"seed-0 holds a run of another kind: schedule.epochs is 2 and was 1"):
        make_ablation(finished[0], epochs=2)
    with pytest.raises(RunError, match="the pictures, their labels or who is held out changed"):
        make_ablation(finished[0], data="synthetic:people=13,cameras=3,passes=1,train_fraction=1,size=32x16")
    (copied / "xent" / "seed-0" / "result.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        make_ablation(copied)


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1]])
def test_seeds_that_are_none_are_a_sentence(make_ablation, tmp_path, seeds):
    with pytest.raises(RunError, match="give whole numbers from 0 up, each once"):
        make_ablation(tmp_path, seeds=seeds)
