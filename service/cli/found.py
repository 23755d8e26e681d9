"""What a search found, for people: a table, what speaks for each result, and how the answer came about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import typer

from service.cli.output import console, table, when

_SHARED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """shared: id and weight of the neighbours that both lean on, heaviest first."""

    mutual: bool
    shared: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundItem:
    rank: int
    id: str
    score: float
    reranked: float | None
    verdict: str | None
    confirmed: bool
    camera: str | None
    captured_at: datetime | None
    person: str | None
    why: Why | None

    @property
    def scores(self) -> str:
        return f"{self.score:.3f}" + ("" if self.reranked is None else f"   re-ranked {self.reranked:.3f}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranked:
    """How. stale: neighbour lists that wait to be made anew."""

    mode: str
    k1: int
    k2: int
    lam: float
    stale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An answer, whoever gave it: a gallery here or a service. reranked: None where it was not, and not_reranked says
    why. allowed: how many items the conditions allow, None without any."""

    items: tuple[FoundItem, ...]
    requested: int
    exhausted: bool
    exact: bool
    allowed: int | None
    hidden: int
    reranked: Reranked | None
    not_reranked: str
    no_verdict_because: str | None


def print_found(found: Found, *, explain: bool) -> None:
    if found.items:
        rows = [
            {
                "rank": f"{item.rank}",
                "item": item.id,
                "score": f"{item.score:.4f}",
                "re-ranked": "" if item.reranked is None else f"{item.reranked:.4f}",
                "verdict": (item.verdict or "") + (" (confirmed)" if item.confirmed else ""),
                "camera": item.camera or "",
                "captured": when(item.captured_at),
                "person": item.person or "",
            }
            for item in found.items
        ]
        columns = [name for name in rows[0] if any(cells[name] for cells in rows)]
        shown = table(*columns, right=("rank", "score", "re-ranked"))
        for cells in rows:
            shown.add_row(*(cells[name] for name in columns))
        console().print(shown)
        if explain:
            for item in found.items:
                typer.echo(_explained(item))
    typer.echo(". ".join(_remarks(found)) + ".")


def _explained(item: FoundItem) -> str:
    why = item.why
    if why is None:
        return f"{item.rank}: there is no graph of neighbours that could explain it"
    mutual = "among each other's nearest" if why.mutual else "not among each other's nearest"
    if not why.shared:
        return f"{item.rank}: {mutual}; no neighbour speaks for it"
    shared = ", ".join(f"{id} ({weight:.3f})" for id, weight in why.shared[:_SHARED])
    more = f" and {len(why.shared) - _SHARED:,} more" if len(why.shared) > _SHARED else ""
    return f"{item.rank}: {mutual}; both lean on {shared}{more}"


def _remarks(found: Found) -> list[str]:
    """What a reader has to know about how the answer came about."""
    remarks = []
    if len(found.items) < found.requested:
        count = f"{len(found.items):,} of {found.requested:,}"
        remarks.append(f"{count} results: no more items than these meet the request" if found.exhausted else count)
    if found.allowed is not None:
        remarks.append(f"The conditions allow {found.allowed:,} items")
    if found.hidden:
        remarks.append(f"{found.hidden:,} left out, because feedback says that they show somebody else")
    if (done := found.reranked) is not None:
        stale = f", {done.stale:,} neighbour lists wait to be made anew" if done.stale else ""
        remarks.append(f"Re-ranked {done.mode} (k1 {done.k1}, k2 {done.k2}, lambda {done.lam:g}{stale})")
    else:
        remarks.append(f"Not re-ranked: {found.not_reranked}".rstrip("."))
    if not found.exact:
        remarks.append("The nearest were sought with an approximate index")
    if found.no_verdict_because:
        remarks.append(f"No verdicts: {found.no_verdict_because}".rstrip("."))
    return remarks
