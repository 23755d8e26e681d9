"""Scores over seeds, as numbers: of each row, and against the first row with the same seed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from training.ablation.published import PUBLISHED
from training.ablation.running import Ablation, Failure, RunResult

MEASURES: dict[str, Callable[[RunResult], float | None]] = {
    "map": lambda run: run.scores["map_step"],
    "rank1": lambda run: run.scores["cmc_1"],
    "minp": lambda run: run.scores["minp"],
    "same_view": lambda run: (run.scores["viewpoints"] or {}).get("same_view"),
    "cross_view": lambda run: (run.scores["viewpoints"] or {}).get("cross_view"),
}
"""In [0, 1], None where viewpoints are not known. same_view, cross_view: mAP of the queries among gallery pictures of
their own viewpoint and of the two others."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Over the seeds that finished; values are in the order of the seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return fmean(self.values) if self.values else math.nan

    @property
    def deviation(self) -> float:
        """The standard deviation of one run, with n - 1; not a number for a single seed."""
        return stdev(self.values) if len(self.values) > 1 else math.nan

    @property
    def lowest(self) -> float:
        return min(self.values, default=math.nan)

    @property
    def highest(self) -> float:
        return max(self.values, default=math.nan)


def spread(runs: Sequence[RunResult], measure: str) -> Spread:
    found = (MEASURES[measure](run) for run in runs)
    return Spread(tuple(value for value in found if value is not None))


def against(runs: Sequence[RunResult], others: Sequence[RunResult], measure: str) -> Spread:
    """Seed by seed, how much `runs` score more than `others`: seeds share the first weights and the batches, so these
    differences vary less than the scores do."""
    before = {run.seed: MEASURES[measure](run) for run in others}
    pairs = ((MEASURES[measure](run), before.get(run.seed)) for run in runs)
    return Spread(tuple(own - other for own, other in pairs if own is not None and other is not None))


def of_row(results: Sequence[RunResult], row: str) -> list[RunResult]:
    return sorted((run for run in results if run.row == row), key=lambda run: run.seed)


def ablation_as_json(
    ablation: Ablation, results: Sequence[RunResult], failures: Sequence[Failure], command: str
) -> dict[str, Any]:
    """Plain values; shares are fractions of 1, and null stands where there is no number."""
    first = of_row(results, ablation.rows[0].label)
    rows = []
    for row in ablation.rows:
        runs, published = of_row(results, row.label), PUBLISHED.get(row.name)
        rows.append(
            {
                "row": row.label,
                "published": None if published is None else asdict(published),
                "runs": [_run(run) for run in runs],
                "over_seeds": {name: _summary(spread(runs, name)) for name in MEASURES},
                "against_the_first_row": {name: _summary(against(runs, first, name)) for name in MEASURES},
            }
        )
    return {
        "command": command,
        "data": {"spec": ablation.data} | ablation.facts,
        "seeds": list(ablation.seeds),
        "rows": rows,
        "failed": [{"row": each.row, "seed": each.seed, "reason": each.reason} for each in failures],
    }


def _run(run: RunResult) -> dict[str, Any]:
    measured = {name: measure(run) for name, measure in MEASURES.items()}
    best = {"best_map": run.best_map, "best_epoch": run.best_epoch}
    return {"seed": run.seed, "folder": str(run.folder)} | measured | best


def _summary(spread: Spread) -> dict[str, float] | None:
    if not spread.values:
        return None
    summary = {"mean": spread.mean, "lowest": spread.lowest, "highest": spread.highest}
    return summary if math.isnan(spread.deviation) else summary | {"standard_deviation": spread.deviation}
