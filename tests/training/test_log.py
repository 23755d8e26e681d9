import json
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.log import RunLog


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_event_is_a_line_and_a_point_of_each_curve(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl", tmp_path / "curves", 0)
    log.write("step", 1, 10, {"loss": 2.5, "parts": {"identity": 2.0, "angular": 0.5}})
    log.write("validation", 1, 10, {"map": 0.25})
    log.close()
    step, validation = lines(tmp_path / "log.jsonl")
    assert (step["event"], step["epoch"], step["step"], step["parts"]["angular"]) == ("step", 1, 10, 0.5)
    assert validation["map"] == 0.25
    curves = EventAccumulator(str(tmp_path / "curves"))
    curves.Reload()
    assert set(curves.Tags()["scalars"]) == {"step/loss", "step/parts/identity", "step/parts/angular", "validation/map"}
    assert [(point.step, point.value) for point in curves.Scalars("validation/map")] == [(10, 0.25)]


def test_a_resumed_log_forgets_what_was_after_the_checkpoint_and_the_line_that_was_cut(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl", tmp_path / "curves", 0)
    for step in (1, 2, 3):
        log.write("step", 1, step, {"loss": float(step)})
    log.close()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"event": "st')
    log = RunLog(tmp_path / "log.jsonl", tmp_path / "curves", 2)
    log.write("step", 1, 3, {"loss": 30.0})
    log.close()
    assert [line["loss"] for line in lines(tmp_path / "log.jsonl")] == [1, 2, 30]
