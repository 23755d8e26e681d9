import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from training.ablation import Failure, RunResult, ablation_as_json, render_ablation
from training.ablation.results import Spread, against, spread


def run(row: str, seed: int, score: float, cross: float | None = None) -> RunResult:
    views = None if cross is None else {"same_view": cross + 0.1, "cross_view": cross}
    scores = {"map_step": score, "cmc_1": score + 0.2, "minp": 0.1, "viewpoints": views}
    return RunResult(row, seed, Path("runs") / row / f"seed-{seed}", scores, score, 5)


RESULTS = [run("xent", 0, 0.5, 0.3), run("va", 1, 0.7), run("xent", 1, 0.6, 0.4), run("va", 0, 0.55)]


def test_a_spread_is_the_mean_and_how_far_runs_lie_apart():
    values = spread(RESULTS[::2], "map")
    assert values.values == (0.5, 0.6)
    assert values.mean == pytest.approx(0.55)
    assert values.deviation == pytest.approx(math.sqrt(2 * 0.05**2))
    assert (values.lowest, values.highest) == (0.5, 0.6)
    assert math.isnan(Spread(()).mean)
    assert math.isnan(Spread((0.5,)).deviation)


def test_differences_are_taken_between_runs_of_one_seed():
    values = against(RESULTS[1::2], RESULTS[::2], "map").values
    assert values == pytest.approx((0.1, 0.05))  # seed 1, then seed 0, as the runs come
    assert against([run("va", 7, 0.9)], RESULTS[::2], "map").values == ()
    assert against(RESULTS[1::2], RESULTS[::2], "cross_view").values == ()


@pytest.fixture
def ablation(make_ablation, tmp_path):
    return make_ablation(tmp_path, "xent,va,ly", seeds=[0, 1])


FAILED = [Failure("ly", seed, Path("x"), "the loss is no number") for seed in (0, 1)]


def test_as_json_it_holds_every_run_and_null_where_there_is_no_number(ablation):
    content = json.loads(
        json.dumps(ablation_as_json(ablation, RESULTS, FAILED, "vantage-train ablate .."), allow_nan=False)
    )
    xent, va, ly = content["rows"]
    assert [each["map"] for each in va["runs"]] == [0.55, 0.7]
    assert va["runs"][0]["cross_view"] is None
    assert va["published"]["map"] == 0.8997
    assert xent["published"] is None
    assert xent["over_seeds"]["cross_view"]["mean"] == pytest.approx(0.35)
    assert va["over_seeds"]["cross_view"] is None
    assert va["against_the_first_row"]["map"]["mean"] == pytest.approx(0.075)
    assert va["against_the_first_row"]["map"]["lowest"] == pytest.approx(0.05)
    assert ly["runs"] == []
    assert content["failed"][0] == {"row": "ly", "seed": 0, "reason": "the loss is no number"}
    assert content["data"]["held_out_people"] == 3
    assert content["seeds"] == [0, 1]


def test_as_a_table_the_papers_figures_stand_beside_ours(ablation):
    console = Console(width=100)
    with console.capture() as capture:
        console.print(render_ablation(ablation, RESULTS, FAILED, "small people"))
    lines = [" ".join(line.split()) for line in capture.get().splitlines()]
    assert "row paper mAP paper R1 our mAP our R1 mAP - xent seeds" in lines
    assert "xent - - 55.0 ±7.1 75.0 ±7.1 2/2" in lines
    assert "va 89.97 95.87 62.5 ±10.6 82.5 ±10.6 +7.5 ±3.5 2/2" in lines
    assert "ly - - - - - 0/2" in lines
    assert "xent 45.0 ±7.1 35.0 ±7.1" in lines
    assert "va - - - -" in lines
    text = " ".join(lines)
    assert "theirs are of Market-1501's test split" in text
    assert "2 runs failed: ly with seed 0: the loss is no number" in text
