"""An ablation that takes seconds: two rows, one seed, one epoch of few steps."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from training.ablation import Ablation, Failure, RunResult, Stopped, parse_rows
from training.progress import Reporter

BASE = """
description = "for tests"
[network]
backbone = "osnet_x0_25"
height = 32
width = 16
[loss.cross_entropy]
[batch]
people = 4
pictures = 2
[optimiser]
kind = "adam"
lr = 1e-3
[schedule]
kind = "cosine"
epochs = 1
[augmentation]
pad = 2
[run]
ema = 0.9
hold_out = 3
"""

MakeAblation = Callable[..., Ablation]
Ends = list[RunResult | Failure | Stopped]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recipes") / "small.toml"
    file.write_text(BASE)
    return file


@pytest.fixture
def make_ablation(small_data: str, base: Path, one_cpu_thread: None) -> MakeAblation:
    def make(out: Path, rows: str = "xent,sn@xent", **options: object) -> Ablation:
        options = {"seeds": [0], "base": str(base), "device": "cpu"} | options
        data = str(options.pop("data", small_data))
        return Ablation(data, parse_rows(rows), out=out, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def ends_of() -> Callable[[Ablation], Ends]:
    """Everything that running it yields."""
    return lambda ablation: list(ablation.run(Reporter, lambda _line: None))


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, small_data: str, base: Path, cache_location: Path
) -> Iterator[tuple[Path, Ends]]:
    """The folder of an ablation of xent and sn@xent, and what it yielded. Not to be changed."""
    out = tmp_path_factory.mktemp("ablation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANTAGE_CACHE", str(cache_location))
        ablation = Ablation(small_data, parse_rows("xent,sn@xent"), [0], out, base=str(base), device="cpu", threads=1)
        yield out, list(ablation.run(Reporter, lambda _line: None))
