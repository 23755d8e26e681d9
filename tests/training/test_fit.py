import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from training.checkpoint import read_checkpoint
from training.data import DataError
from training.fit import fit
from training.fit_errors import CheckpointError, NonFiniteLossError, RecipeError, RunError
from training.networks import ReidNetwork
from training.progress import Reporter, StepReport
from training.recipe import Recipe
from training.trained import read_trained
from training.trainer import Trainer
from training.validation import Score, Validation

pytestmark = pytest.mark.usefixtures("one_cpu_thread")


def lines_of(run: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def the_same(one: object, other: object) -> bool:
    """Bit for bit, through any nesting; but for seconds, which no two runs share."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() - {"seconds"}
        return one.keys() == other.keys() and all(the_same(one[key], other[key]) for key in keys)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(the_same, one, other))
    return one == other


def test_two_runs_with_one_seed_end_in_the_same_bits(small_data: str, small_recipe: Recipe, tmp_path: Path) -> None:
    for name in ("one", "two"):
        fit(small_data, small_recipe, tmp_path / name)
    ends = [read_checkpoint(tmp_path / name / "last.pt") for name in ("one", "two")]
    for field in ("network", "average", "optimiser", "sampler", "scores"):
        assert the_same(getattr(ends[0], field), getattr(ends[1], field)), field


def test_another_seed_ends_elsewhere_but_is_judged_by_the_same_people(
    small_data: str, small_recipe: Recipe, tmp_path: Path
) -> None:
    once = replace(small_recipe, schedule=replace(small_recipe.schedule, epochs=1))
    for seed in (0, 1):
        fit(small_data, once, tmp_path / str(seed), seed=seed)
    ends = [read_checkpoint(tmp_path / str(seed) / "last.pt") for seed in (0, 1)]
    assert not the_same(ends[0].network, ends[1].network)
    assert ends[0].data == ends[1].data


class StopsAt(Reporter):
    """Sends this process a signal after some steps."""

    def __init__(self, step: int, number: signal.Signals) -> None:
        self.step, self.number = step, number

    def stepped(self, report: StepReport) -> None:
        if report.step == self.step:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(
    ("step", "number", "code", "after"),
    [(4, signal.SIGTERM, 143, (1, 2)), (5, signal.SIGINT, 130, (2, 0)), (6, signal.SIGTERM, 143, (2, 1))],
)
def test_a_signal_saves_after_the_step_and_the_resumed_run_ends_in_the_same_bits(
    small_data: str,
    small_recipe: Recipe,
    tmp_path: Path,
    step: int,
    number: signal.Signals,
    code: int,
    after: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forward = ReidNetwork.forward

    def with_dropout(self: ReidNetwork, *inputs: Any) -> Any:
        output = forward(self, *inputs)
        return output._replace(id_logits=torch.nn.functional.dropout(output.id_logits, training=self.training))

    monkeypatch.setattr(ReidNetwork, "forward", with_dropout)
    handler = signal.getsignal(number)
    fit(small_data, small_recipe, tmp_path / "whole")
    result = fit(small_data, small_recipe, tmp_path / "stopped", reporter=StopsAt(step, number))
    assert result.stopped_by == code
    assert signal.getsignal(number) is handler
    saved = read_checkpoint(tmp_path / "stopped" / "last.pt").sampler
    assert (saved["epoch"], saved["next"]) == after  # the step that was under way is finished, of 3 an epoch

    torch.rand(7)  # whatever the process drew since then must not matter
    result = fit(small_data, small_recipe, tmp_path / "stopped", resume=True)
    assert result.stopped_by == 0
    ends = [read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "stopped")]
    for field in ("network", "average", "optimiser", "objective", "sampler", "random", "scores", "sums"):
        assert the_same(getattr(ends[0], field), getattr(ends[1], field)), field
    best = [read_trained(tmp_path / name) for name in ("whole", "stopped")]
    assert the_same(dict(best[0].network.state_dict()), dict(best[1].network.state_dict()))
    assert [line["step"] for line in lines_of(tmp_path / "stopped", "step")] == list(range(1, 13))


def test_a_run_keeps_the_average_of_its_best_validation(small_data: str, small_recipe: Recipe, tmp_path: Path) -> None:
    result = fit(small_data, small_recipe, tmp_path / "run")
    validations = lines_of(tmp_path / "run", "validation")
    assert [line["epoch"] for line in validations] == [0, 2, 4]
    best = max(validations, key=lambda line: line["map"])
    assert (result.scores.best, result.scores.best_epoch) == (best["map"], best["epoch"])
    assert result.scores.untrained == validations[0]["map"]
    trained = read_trained(tmp_path / "run")
    assert (trained.validation_map, trained.epoch) == (best["map"], best["epoch"])
    assert not trained.network.training
    assert (trained.recipe, trained.seed) == (small_recipe, 0)
    embeddings, viewpoints = trained.network.embed(torch.rand(2, 3, 32, 16))
    assert embeddings.norm(dim=1).tolist() == pytest.approx([1, 1])
    assert viewpoints is not None


def test_a_final_run_keeps_its_last_weights_whatever_a_handful_of_held_out_people_say(
    small_data: str, small_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling = iter([0.9, 0.5, 0.4, 0.3, 0.2])
    monkeypatch.setattr(Validation, "__call__", lambda *_: Score(next(falling), 0.5))
    final = replace(small_recipe, run=replace(small_recipe.run, keep="last", validate_every=1))
    fit(small_data, final, tmp_path / "run")
    kept = read_trained(tmp_path / "run")
    assert kept.epoch == final.schedule.epochs
    assert the_same(kept.network.state_dict(), read_checkpoint(tmp_path / "run" / "last.pt").average["network"])


def test_no_epochs_only_validates_the_untrained_network(small_data: str, small_recipe: Recipe, tmp_path: Path) -> None:
    none = replace(small_recipe, schedule=replace(small_recipe.schedule, epochs=0))
    result = fit(small_data, none, tmp_path / "run")
    assert result.scores.best == result.scores.untrained > 0
    assert read_trained(tmp_path / "run").epoch == 0
    assert fit(small_data, none, tmp_path / "run", resume=True) == result


def test_people_held_out_for_validation_are_not_trained_on(
    small_data: str, small_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()
    step = Trainer.train_step

    def watched(self: Trainer, places: Any, *rest: Any) -> bool:
        seen.update(picture.person for picture in self._train.take(places))
        return step(self, places, *rest)

    monkeypatch.setattr(Trainer, "train_step", watched)
    fit(small_data, small_recipe, tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())["data"]
    assert (len(seen), facts["people"], facts["held_out_people"]) == (9, 9, 3)


def test_a_run_that_is_there_is_not_overwritten(small_data: str, small_recipe: Recipe, tmp_path: Path) -> None:
    none = replace(small_recipe, schedule=replace(small_recipe.schedule, epochs=0))
    fit(small_data, none, tmp_path / "run")
    with pytest.raises(RunError, match="already holds a run: add --resume"):
        fit(small_data, none, tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(RunError, match="is not empty and holds no run"):
        fit(small_data, none, tmp_path / "other")


def test_resuming_something_else_is_refused_with_what_changed(
    small_data: str, small_recipe: Recipe, tmp_path: Path
) -> None:
    none = replace(small_recipe, schedule=replace(small_recipe.schedule, epochs=0))
    fit(small_data, none, tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"schedule\.epochs is 4 and was 0; resume with what it began with"):
        fit(small_data, small_recipe, tmp_path / "run", resume=True)
    with pytest.raises(CheckpointError, match="the seed is 1 and was 0"):
        fit(small_data, none, tmp_path / "run", resume=True, seed=1)
    with pytest.raises(CheckpointError, match="the pictures or their labels changed"):
        fit(f"{small_data},seed=5", none, tmp_path / "run", resume=True)


def test_resume_begins_where_there_is_nothing_to_go_on_from(
    small_data: str, small_recipe: Recipe, tmp_path: Path
) -> None:
    none = replace(small_recipe, schedule=replace(small_recipe.schedule, epochs=0))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").touch()  # a run that was killed before its first checkpoint
    assert fit(small_data, none, tmp_path / "run", resume=True).epochs == 0


def test_a_loss_that_is_no_number_names_step_files_and_checkpoint(
    small_data: str, small_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = ReidNetwork.forward
    steps = 0

    def breaks(self: ReidNetwork, *inputs: Any) -> Any:
        nonlocal steps
        steps += 1
        output = forward(self, *inputs)
        return output if steps < 8 else output._replace(id_logits=output.id_logits * float("nan"))

    monkeypatch.setattr(ReidNetwork, "forward", breaks)
    with pytest.raises(NonFiniteLossError) as caught:
        fit(small_data, small_recipe, tmp_path / "run")
    sentence = str(caught.value)
    assert "the loss is no number at step 8 (identity nan, viewpoint " in sentence
    assert f"the last good checkpoint is {tmp_path / 'run' / 'last.pt'}" in sentence
    assert sentence.count(".jpg") == 8
    good = read_checkpoint(tmp_path / "run" / "last.pt")
    assert good.sampler["epoch"] == 2
    assert all(bool(value.isfinite().all()) for value in good.network.values())


def test_weights_that_are_no_numbers_are_never_saved(
    small_data: str, small_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(parameters: list[torch.nn.Parameter], largest: float) -> None:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.fill_(float("inf"))

    monkeypatch.setattr("training.trainer.clip_gradients", breaks)
    once = replace(
        small_recipe, batch=replace(small_recipe.batch, people=9), schedule=replace(small_recipe.schedule, epochs=1)
    )
    with pytest.raises(NonFiniteLossError, match="weights are no numbers any more after step 1"):
        fit(small_data, once, tmp_path / "run")
    assert not (tmp_path / "run" / "last.pt").exists()


def test_a_loss_without_any_head_trains(small_data: str, with_loss: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = with_loss(support_neighbour={})
    recipe = replace(recipe, network=replace(recipe.network, neck="none"))
    result = fit(small_data, recipe, tmp_path / "run")
    assert result.epochs == 4
    assert set(lines_of(tmp_path / "run", "epoch")[0]["parts"]) == {"separation", "squeeze", "viewpoint_classifier"}


def test_stripes_and_the_hypersphere_train(small_data: str, small_recipe: Recipe, tmp_path: Path) -> None:
    network = replace(small_recipe.network, local_parts=True, embedding_dim=8, head="hypersphere")
    once = replace(small_recipe, network=network, schedule=replace(small_recipe.schedule, epochs=1))
    assert fit(small_data, once, tmp_path / "run").epochs == 1
    assert read_trained(tmp_path / "run").network.embedding_dim == 6 * 8


def test_without_viewpoints_a_recipe_that_needs_none_trains_and_one_that_does_says_so(
    small_recipe: Recipe, with_loss: Callable[..., Recipe], tmp_path: Path, people_without_viewpoints: Path
) -> None:
    spec = f"folder:{people_without_viewpoints},split=train"
    result = fit(spec, replace(with_loss(cross_entropy={}), network=small_recipe.network), tmp_path / "run")
    assert result.epochs == 4
    assert read_trained(tmp_path / "run").network.viewpoint_classifier is None
    with pytest.raises(RecipeError, match="needs viewpoints and none of 27 training pictures has one: give a file"):
        fit(spec, small_recipe, tmp_path / "other")


def test_people_that_do_not_fit_the_batch_are_a_sentence(small_data: str, small_recipe: Recipe, tmp_path: Path) -> None:
    many = replace(small_recipe, batch=replace(small_recipe.batch, people=40))
    with pytest.raises(DataError, match="a batch takes 40 people"):
        fit(small_data, many, tmp_path / "run")


def test_a_run_can_start_from_the_backbone_of_another(
    small_data: str, small_recipe: Recipe, with_loss: Callable[..., Recipe], tmp_path: Path
) -> None:
    fit(small_data, small_recipe, tmp_path / "first")
    none = with_loss(triplet={})
    none = replace(
        none,
        network=replace(none.network, weights=str(tmp_path / "first" / "best.pt")),
        schedule=replace(none.schedule, epochs=0),
    )
    fit(small_data, none, tmp_path / "second")
    first, second = (read_trained(tmp_path / name).network.backbone.state_dict() for name in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first)
