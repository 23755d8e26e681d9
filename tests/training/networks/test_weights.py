from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from training.networks.errors import WeightsError
from training.networks.weights import load_state, read_state


def small() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


@pytest.mark.parametrize("nest", [None, "state_dict", "model", "network"])
def test_named_tensors_are_found_under_the_usual_nests(tmp_path: Path, nest: str | None) -> None:
    state = small().state_dict()
    torch.save(state if nest is None else {nest: state, "epoch": 3}, tmp_path / "w.pth")
    read = read_state(tmp_path / "w.pth")
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "w.safetensors")
    assert torch.equal(read_state(tmp_path / "w.safetensors")["a"], torch.ones(2))


def test_of_a_whole_network_only_the_backbone_is_kept_and_the_parallel_prefix_goes(tmp_path: Path) -> None:
    torch.save({"module.backbone.stem": torch.ones(1), "module.id_heads.0.weight": torch.ones(1)}, tmp_path / "w.pth")
    assert read_state(tmp_path / "w.pth").keys() == {"stem"}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.pth does not exist"):
        read_state(tmp_path / "none.pth")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all, but long enough to have a header"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{name} cannot be read as weights"):
        read_state(tmp_path / name)


def test_a_pickled_program_is_refused(tmp_path: Path) -> None:
    torch.save(small(), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="tensors only"):
        read_state(tmp_path / "w.pth")


@pytest.mark.parametrize(("content", "complaint"), [([1, 2], "holds a list"), ({"epoch": 3}, "holds no tensors")])
def test_a_torch_file_without_named_tensors_is_refused(tmp_path: Path, content: object, complaint: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=complaint):
        read_state(tmp_path / "w.pth")


def state_without(*names: str, **extra: Tensor) -> dict[str, Tensor]:
    return {name: value + 1 for name, value in small().state_dict().items() if name not in names} | extra


def test_everything_that_fits_is_loaded_and_the_classifier_left_out() -> None:
    module, state = small(), state_without(**{"fc.weight": torch.ones(9, 9), "fc.bias": torch.ones(9)})
    load_state(module, state, source=Path("w.pth"), classifiers=("fc",))
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        (state_without(**{"0.weight": torch.ones(4, 3)}), r"of another shape: 0\.weight is \(4, 3\) where \(2, 3\)"),
        (state_without("1.weight"), r"missing: 1\.weight\)"),
        (state_without(fc2=torch.ones(1)), r"not of this network: fc2\)"),
        ({}, r"missing: 0\.weight, 0\.bias, 1\.weight and 3 more"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(state: dict[str, Tensor], complaint: str) -> None:
    module = small()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(WeightsError, match=rf"w\.pth does not fit .*{complaint}"):
        load_state(module, state, source=Path("w.pth"), classifiers=("fc",))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_absent_batch_counters_are_no_reason_to_refuse() -> None:
    load_state(small(), state_without("1.num_batches_tracked"), source=Path("w.pth"), classifiers=())
