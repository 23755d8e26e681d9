"""The bar of long work; nothing where standard error is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.cli.output import console

if TYPE_CHECKING:
    from rich.progress import Progress

    from service.indexing import Source, Tally


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
    """Shows how much of a stage of the work is done: called with its name, what is done, and of how many."""
    with _bar() as bar:
        task = bar.add_task("starting", total=None)

        def show(stage: str, done: int, of: int) -> None:
            bar.update(task, completed=done, total=of, description=f"{stage} {done:,} of {of:,}")

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
