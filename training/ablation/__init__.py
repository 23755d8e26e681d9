"""Which part of a loss does the work: recipes against each other, over several seeds, on the same held-out people."""

from training.ablation.published import PUBLISHED, Published
from training.ablation.results import ablation_as_json
from training.ablation.rows import Row, parse_rows, row_recipe
from training.ablation.running import Ablation, Failure, RunResult, Stopped
from training.ablation.table import render_ablation

__all__ = [
    "PUBLISHED",
    "Ablation",
    "Failure",
    "Published",
    "Row",
    "RunResult",
    "Stopped",
    "ablation_as_json",
    "parse_rows",
    "render_ablation",
    "row_recipe",
]
