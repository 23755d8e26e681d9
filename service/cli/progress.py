"""The bars of long work; nothing where standard error is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.cli.output import console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from service.indexing import Source, Tally

_STAGES = {"lists": "neighbours", "rows": "encodings", "encoded": "encodings", "noted": "written to Milvus"}


@contextmanager
def picture_progress(source: Source) -> Iterator[Callable[[Tally], None]]:
    """Shows how much of the source is done, the pictures, their rate and the time left."""
    began = time.monotonic()
    with _bar() as bar:
        task = bar.add_task("starting", total=source.total)

        def show(tally: Tally) -> None:
            rate = tally.done / max(1e-9, time.monotonic() - began)
            words = f"{tally.done:,} images, {rate:,.0f} images/s"
            if tally.failed:
                words += f", {tally.failed:,} unreadable"
            bar.update(task, completed=source.done, description=words)

        yield show


@contextmanager
def stage_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Shows how much of each stage of the work is done, one bar below the other."""
    with _bar() as bar:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, of: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(_STAGES.get(stage, stage), total=of)
            bar.update(tasks[stage], completed=done, total=of)

        yield show


def _bar() -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    printed = console(stderr=True)
    columns = (
        TextColumn("{task.percentage:>3.0f}%"),
        BarColumn(24),
        TextColumn("{task.description}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    return Progress(*columns, console=printed, transient=True, disable=not printed.is_terminal)
