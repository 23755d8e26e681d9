"""Two processes that gather their batches have the loss and the gradients of one process with the whole batch."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import training
from training.losses import gather_inputs

WORKER = Path(__file__).with_name("gather_worker.py")


@pytest.fixture(scope="module")
def shared() -> dict[str, Any]:
    """The worker's definitions."""
    return runpy.run_path(str(WORKER), run_name="gather_worker")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes, which meet through a file and talk over the loopback interface, has found."""
    folder = tmp_path_factory.mktemp("gather")
    environment = os.environ | {
        "PYTHONPATH": str(Path(training.__file__).parents[1]),
        "GLOO_SOCKET_IFNAME": "lo",
        "PYTHONWARNINGS": "error",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), str(folder / "store"), str(folder / f"{rank}.pt")],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for process in processes:
            _, complaints = process.communicate(timeout=150)
            assert process.returncode == 0, complaints
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("loss", ["range", "nearest", "batch", "triplet", "viewpoint-aware"])
def test_loss_and_averaged_gradients_are_those_of_the_whole_batch(
    shared: dict[str, Any], results: list[dict[str, Any]], loss: str
) -> None:
    network = shared["build_network"]()
    whole = shared["losses_and_gradients"](network, network, slice(None), lambda inputs: inputs)[loss]
    assert any(whole[key].abs().max() > 1e-3 for key in whole if key != "loss")
    for result in results:
        assert result["gathered"][loss].keys() == whole.keys()
        for key, expected in whole.items():
            torch.testing.assert_close(result["gathered"][loss][key], expected, rtol=1e-9, atol=1e-12, msg=key)


@pytest.mark.parametrize("loss", ["range", "nearest", "batch", "triplet", "viewpoint-aware"])
def test_without_gathering_the_halves_would_not_add_up(shared: dict[str, Any], loss: str) -> None:
    """So that the test above could fail."""
    network = shared["build_network"]()
    found = [
        shared["losses_and_gradients"](network, network, rows, lambda inputs: inputs)[loss]["loss"]
        for rows in (slice(None), slice(0, 6), slice(6, 12))
    ]
    assert abs(found[0] - (found[1] + found[2]) / 2) > 1e-6


def test_unequal_batches_are_refused_on_every_process(results: list[dict[str, Any]]) -> None:
    for result in results:
        assert "the processes bring batches of [3, 4] images" in result["refused"]


def test_outside_of_a_process_group_the_batch_is_returned_as_it_is(make_batch: Any) -> None:
    inputs = make_batch([0, 0, 1])
    assert gather_inputs(inputs) is inputs
