"""How commands print: tables for people, JSON for programs, sentences beside both on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
_WIDE = 200

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def print_json(value: object) -> None:
    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))


def plain(value: Any) -> Any:
    """What JSON can hold: values as objects of their fields, times in UTC with Z, arrays as lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [plain(held) for held in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Path):
        return str(value)
    for method in ("model_dump", "tolist"):  # of pydantic's models and numpy's arrays
        if hasattr(value, method):
            return plain(getattr(value, method)())
    return value


def console(*, stderr: bool = False) -> Console:
    """For tables; whatever stands in a name is no markup."""
    from rich.console import Console

    # In a file or a pipe nobody has said how wide a line may be, and programs that cut columns want each row whole.
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(markup=False, highlight=False, emoji=False, stderr=stderr, width=None if stderr else width)


def say(sentence: str) -> None:
    """To people, beside the result."""
    typer.echo(sentence, err=True)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for name in columns:
        made.add_column(name, overflow="fold", justify="right" if name in right else "left")
    return made


def facts_table(facts: Mapping[str, object]) -> Table:
    """A line for each fact."""
    from rich.table import Table

    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in facts.items():
        made.add_row(name, str(value))
    return made


def when(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d %H:%M:%S}Z"


def size(count: int) -> str:
    """Bytes, for people."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def require_consent(question: str, yes: bool) -> None:
    """Asks on a terminal; elsewhere nothing is destroyed without --yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} There is nobody to ask here: add --yes", param_hint="--yes")
    typer.confirm(question, abort=True, err=True)
