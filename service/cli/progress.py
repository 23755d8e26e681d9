"""The bar of long work on pictures; nothing where standard error is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.cli.output import console

if TYPE_CHECKING:
    from service.indexing import Source, Tally


@contextmanager
def picture_progress(source: Source) -> Iterator[Callable[[Tally], None]]:
    """Shows how much of the source is done, the pictures, their rate and the time left."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    printed = console(stderr=True)
    columns = (
        TextColumn("{task.percentage:>3.0f}%"),
        BarColumn(24),
        TextColumn("{task.description}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    began = time.monotonic()
    with Progress(*columns, console=printed, transient=True, disable=not printed.is_terminal) as bar:
        task = bar.add_task("starting", total=source.total)

        def show(tally: Tally) -> None:
            rate = tally.done / max(1e-9, time.monotonic() - began)
            words = f"{tally.done:,} images, {rate:,.0f} images/s"
            if tally.failed:
                words += f", {tally.failed:,} unreadable"
            bar.update(task, completed=source.done, description=words)

        yield show
