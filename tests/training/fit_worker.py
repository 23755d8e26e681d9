"""A run of `fit` in a process of its own, started by the tests: python fit_worker.py DATA RECIPE.json OUT."""

import json
import sys
from pathlib import Path

from rich.console import Console

from training.fit import fit
from training.progress import LineReporter
from training.recipe_reading import recipe_from

if __name__ == "__main__":
    data, recipe, out = sys.argv[1:]
    result = fit(
        data,
        recipe_from(json.loads(Path(recipe).read_text())),
        Path(out),
        device="cpu",
        threads=1,
        reporter=LineReporter(Console(file=sys.stdout)),
    )
    raise SystemExit(result.stopped_by)
