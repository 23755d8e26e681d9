"""Every row with every seed, one after the other; what has finished is not run again."""

import json
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from models import ModelError, write_durably
from retrieval import RetrievalError
from training.ablation.judging import judge
from training.ablation.rows import Row, recipes_of
from training.data import Dataset, hold_out, load_dataset, open_cache
from training.errors import TrainingError
from training.fit import HOLD_OUT_SEED, fit
from training.fit_errors import RunError
from training.processes import DeviceChoice, chosen_device
from training.progress import Reporter
from training.recipe import Recipe
from training.run_folder import RunFolder
from training.run_identity import data_facts, first_difference

RESULT_FILE, FAILURE_FILE = "result.json", "failure.txt"


@dataclass(frozen=True, slots=True)
class RunResult:
    """scores: of the held-out people, as `evaluation_as_json` gives them. again: whether it was there already."""

    row: str
    seed: int
    folder: Path
    scores: Mapping[str, Any]
    best_map: float
    best_epoch: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """reason: a sentence."""

    row: str
    seed: int
    folder: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """A signal ended a run, which is saved. exit_code: what to leave with."""

    exit_code: int


class Ablation:
    """The plan: everything that a user can have wrong is raised here, before the first run.

    data: a spec, whose training people alone are used. base, epochs: see `row_recipe`. out: gets a folder a row with a
    folder a seed, each a run as `fit` leaves it and `result.json`.
    """

    def __init__(
        self,
        data: str,
        rows: Sequence[Row],
        seeds: Sequence[int],
        out: Path,
        *,
        base: str | None = None,
        epochs: int | None = None,
        device: DeviceChoice = "auto",
        threads: int | None = None,
    ) -> None:
        if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise RunError(f"seeds are {list(seeds)}: give whole numbers from 0 up, each once")
        self.data, self.rows, self.seeds, self.out = data, tuple(rows), tuple(seeds), out
        self.recipes = recipes_of(rows, base, epochs)
        self.device = chosen_device(device)
        self._choice: DeviceChoice = device
        self._threads = threads
        first = next(iter(self.recipes.values()))
        self._dataset = load_dataset(data)
        self.held: Dataset = hold_out(self._dataset, first.run.hold_out, HOLD_OUT_SEED)
        self.facts = data_facts(self.held)
        for row, seed in self._order():
            self._finished(row, seed)

    def run(
        self, reporter: Callable[[], Reporter], told: Callable[[str], None]
    ) -> Iterator[RunResult | Failure | Stopped]:
        """Seed by seed, so that what is there after a part of the time can be compared. told: gets a line a run.

        A run that fails is not the end of the others; one that a signal stops is.
        """
        failed: set[tuple[str, int]] = set()
        order = self._order()
        for number, (row, seed) in enumerate(order, 1):
            folder = self.folder(row, seed)
            done = self._finished(row, seed)
            if done is not None:
                told(f"run {number} of {len(order)}, {row.label} with seed {seed}: finished before")
                yield done
                continue
            told(f"run {number} of {len(order)}: {row.label} with seed {seed}")
            if (row.after or "", seed) in failed:
                failed.add((row.label, seed))
                yield Failure(row.label, seed, folder.path, f"it starts from {row.after}, which failed")
                continue
            try:
                end: RunResult | Failure | Stopped = self._trained(row, seed, folder, reporter())
            except Exception as error:  # whatever it was: a night of other runs must not end with this one
                failed.add((row.label, seed))
                _keep_trace(folder)
                expected = isinstance(error, TrainingError | ModelError | RetrievalError)
                reason = str(error) if expected else f"{type(error).__name__}: {error}; see {FAILURE_FILE} there"
                end = Failure(row.label, seed, folder.path, reason)
            yield end
            if isinstance(end, Stopped):
                return

    def folder(self, row: Row, seed: int) -> RunFolder:
        return RunFolder(self.out / row.label / f"seed-{seed}")

    def _order(self) -> list[tuple[Row, int]]:
        return [(row, seed) for seed in self.seeds for row in self.rows]

    def _trained(self, row: Row, seed: int, folder: RunFolder, reporter: Reporter) -> RunResult | Stopped:
        recipe = self.recipes[row.label]
        started = recipe
        if row.after is not None:
            start = RunFolder(self.out / row.after / f"seed-{seed}").best.resolve()
            started = replace(recipe, network=replace(recipe.network, weights=str(start)))
        fitted = fit(
            self.data,
            started,
            folder.path,
            resume=True,
            seed=seed,
            device=self._choice,
            threads=self._threads,
            reporter=reporter,
        )
        if fitted.stopped_by:
            return Stopped(fitted.stopped_by)
        cache = open_cache(self._dataset.train, recipe.network.input)
        content = {"row": row.label, "seed": seed, "after": row.after, "data": self.facts, "recipe": asdict(recipe)}
        content |= {"best_map": fitted.scores.best, "best_epoch": fitted.scores.best_epoch}
        content["scores"] = judge(folder, self.held, cache, self.device)
        write_durably(folder.path / RESULT_FILE, (json.dumps(content, indent=2) + "\n").encode())
        done = self._finished(row, seed)
        assert done is not None
        return replace(done, again=False)

    def _finished(self, row: Row, seed: int) -> RunResult | None:
        """What an earlier call left; a RunError where that was of another recipe or of other data."""
        folder = self.folder(row, seed)
        file = folder.path / RESULT_FILE
        try:
            found = json.loads(file.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RunError(f"{file} cannot be read ({error}): remove it, and it is made anew") from error
        changed = first_difference(found["recipe"], _plain(self.recipes[row.label]), "")
        if changed is None and found["data"]["digest"] != self.facts["digest"]:
            changed = "the pictures, their labels or who is held out changed"
        if changed is not None:
            raise RunError(f"{folder.path} holds a run of another kind: {changed}; choose another --out, or remove it")
        return RunResult(
            row.label, seed, folder.path, found["scores"], found["best_map"], found["best_epoch"], again=True
        )


def _plain(recipe: Recipe) -> dict[str, Any]:
    """As JSON has it: lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    return plain


def _keep_trace(folder: RunFolder) -> None:
    if folder.path.is_dir():
        write_durably(folder.path / FAILURE_FILE, traceback.format_exc().encode())
