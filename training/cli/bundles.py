"""What the commands that work on a bundle have in common: their options, and opening a bundle for them."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.data import SPEC_HELP
from training.errors import TrainingError

if TYPE_CHECKING:
    from rich.console import Console

    from models import Bundle, Device, Precision, Session
    from training.data import Dataset
    from training.evaluation import Trial

BundleArgument = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="The model: a folder with card.json and model.onnx.")
]
DataOption = Annotated[str, typer.Option("--data", metavar="SPEC", help=SPEC_HELP)]
IgnoreCameras = Annotated[
    bool,
    typer.Option("--ignore-cameras", help="Finds in the query's own camera count; for data without camera labels."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="How many decode or render at once.", show_default="one a core")
]
K1 = Annotated[int, typer.Option(min=1, help="Re-ranking: how many neighbours may be reciprocal.")]
K2 = Annotated[int, typer.Option(min=1, help="Re-ranking: over how many nearest an encoding is averaged.")]
Lam = Annotated[float, typer.Option("--lambda", min=0, max=1, help="Re-ranking: the weight of the original distance.")]


def open_session(bundle: "Bundle", device: "Device") -> "Session":
    """A session for many crops."""
    from models import Session

    return Session(bundle, device=device, max_batch=64)


def embed_trial(
    session: "Session",
    dataset: "Dataset",
    *,
    multi_query: bool = False,
    ignore_cameras: bool = False,
    keep_junk: bool = False,
    workers: int | None = None,
) -> "Trial":
    """`open_trial`, with a progress bar on a terminal."""
    from training.evaluation import open_trial, require_searchable

    require_searchable(dataset, multi_query=multi_query, ignore_cameras=ignore_cameras)
    wanted = [dataset.query, dataset.gallery, *([dataset.multi_query] if multi_query and dataset.multi_query else [])]
    with _progress(sum(len(split) for split in wanted)) as advance:
        return open_trial(
            session,
            dataset,
            multi_query=multi_query,
            ignore_cameras=ignore_cameras,
            keep_junk=keep_junk,
            workers=workers,
            progress=advance,
        )


@contextmanager
def _progress(total: int) -> Iterator["_Advance"]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield _Advance(bar, bar.add_task("embedding", total=total))


class _Advance:
    def __init__(self, bar: object, task: object) -> None:
        self._bar, self._task = bar, task

    def __call__(self, more: int) -> None:
        self._bar.advance(self._task, more)  # type: ignore[attr-defined]


def command_line(*words: object) -> str:
    """A command as it can be pasted into a shell."""
    return shlex.join(["vantage-train", *(str(word) for word in words)])


def console() -> "Console":
    from rich.console import Console

    # Names of files and people are printed as they are: [1] in one is no markup.
    return Console(markup=False, highlight=False, emoji=False)


def require_folder_of(path: Path) -> None:
    """Before long work whose result is to be written to `path`."""
    if not path.absolute().parent.is_dir():
        raise TrainingError(f"{path} cannot be written: there is no folder {path.absolute().parent}")


def write_file(path: Path, content: bytes) -> None:
    """Whole or not at all; a sentence where it cannot be."""
    from models import write_durably

    try:
        write_durably(path, content)
    except OSError as error:
        raise TrainingError(f"{path} cannot be written: {error.strerror or error}") from error


def other_precision(bundle: "Bundle") -> "Precision | None":
    """The precision of the opened file, if it is not the bundle's first one."""
    return None if bundle.precision == bundle.card.precision else bundle.precision
