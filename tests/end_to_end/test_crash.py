"""A process that writes to a gallery is killed, again and again; what it was told had been done must have been done.

CRASH_KILLS sets how many kills there are beside those at each named step (`make crash N=1000`).
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from retrieval import ReciprocalGraph
from service.gallery import GalleryEngine, Probe, Search
from service.gallery.embedded.steps import STEPS

CHILD = Path(__file__).with_name("crash_child.py")
RANDOM_KILLS = int(os.environ.get("CRASH_KILLS", "40"))
AT_EACH_STEP = 2
# What leads to a step soon, by how the step's name begins; adding and deleting leads to the others.
FAVOURED = {
    "graph": ["reopen"],
    "index": ["reopen", "settle"],
    "manifest": ["reopen"],
    "superseded": ["reopen"],
    "built": ["settle"],
    "swapped": ["settle"],
    "directory": ["side gallery"],
    "database made": ["side gallery"],
    "gallery": ["side gallery"],
    "registry": ["side gallery"],
    "snapshot": ["snapshot", "delete snapshot"],
    "snapshot scrubbed": ["snapshot", "compact"],
    "restore": ["snapshot", "restore"],
    "scrub": ["snapshot", "compact"],
    "compact": ["compact"],
}
SHARES = 4  # the random kills are split, so that they can run side by side


def _load_child() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crash_child", CHILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


child = _load_child()


@pytest.fixture(scope="module")
def children() -> Iterator[subprocess.Popen[str]]:
    """Forks a fresh writer for every job, so that only the first pays for the imports."""
    with subprocess.Popen(
        [sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        yield run
        assert run.stdin is not None
        run.stdin.close()


class Known:
    """What the events say must be there: a version for every id, and what was under way at the end."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.next_version = 1
        self.under_way: dict[str, int | None] = {}
        self.acknowledged = 0

    def read(self, events: Path) -> str | None:
        """Takes up the events of one job; the step at which it says it died."""
        begun: dict[str, Any] | None = None
        died_at = None
        for line in events.read_text().splitlines():
            event = json.loads(line)
            if "died_at" in event:
                died_at = event["died_at"]
            elif "begun" in event:
                begun = event
                self.next_version = max([self.next_version, *(v + 1 for v in event.get("items", {}).values())])
            else:
                assert begun is not None
                self.versions |= begun.get("items", {})
                for id in begun.get("ids", []):
                    self.versions.pop(id, None)
                self.acknowledged += 1
                begun = None
        self.under_way = {} if begun is None else begun.get("items") or dict.fromkeys(begun.get("ids", []))
        events.unlink()
        return died_at

    def settle(self, there: dict[str, int]) -> None:
        """The last, unacknowledged operation has been done wholly or not at all; `there` says which."""
        before = {id: self.versions.get(id) for id in self.under_way}
        now = {id: there.get(id) for id in self.under_way}
        assert now in (before, self.under_way)
        for id, version in now.items():
            self.versions.pop(id, None)
            if version is not None:
                self.versions[id] = version


def kill_once(children: subprocess.Popen[str], data: Path, known: Known, **job: Any) -> str | None:
    """One writer, from start to kill, and everything that must hold afterwards."""
    events = data.with_suffix(".events")
    job = {"favour": [], "data": str(data), "events": str(events), "version": known.next_version} | job
    assert children.stdin is not None
    assert children.stdout is not None
    print(json.dumps(job), file=children.stdin, flush=True)
    assert children.stdout.readline() == "done\n"
    died_at = known.read(events) if events.exists() else None
    with child.open_engine(data) as engine:
        if "g" in engine.galleries():
            holds_what_it_must(engine, known)
        else:
            assert not known.versions
        for name in engine.galleries():
            report = engine.verify(name)
            serious = [finding for finding in report.findings if finding.serious]
            assert not serious, serious
        for info in engine.snapshots():
            assert info.gallery == "g"
    return died_at


def sound_once_compacted(data: Path) -> None:
    with child.open_engine(data) as engine:
        if "g" in engine.galleries():
            engine.compact("g")
            assert engine.verify("g").sound, engine.verify("g").findings


def holds_what_it_must(engine: GalleryEngine, known: Known) -> None:
    items = engine.list("g", limit=1000, vectors=True).items
    there = {item.id: item.metadata["version"] for item in items}
    known.settle(there)
    assert there == known.versions
    for item in items:
        wanted = child.item_of(item.id, item.metadata["version"])
        assert (item.camera, item.captured_at, item.person) == (wanted.camera, wanted.captured_at, wanted.person)
        assert item.vector is not None
        assert np.abs(item.vector - wanted.vector).max() < 1e-3
        assert engine.crop("g", item.id) == wanted.crop
    if len(items) < 2:
        return
    vectors = np.stack([item.vector for item in items if item.vector is not None])
    for exact in (True, False):  # at once, whatever has been loaded or is being made
        probe = child.vector_of(5)
        answer = engine.search("g", Search(probe=Probe(vectors=probe), k=1000, rerank="off", exact=exact))
        order = np.argsort(-(vectors.astype(np.float64) @ probe), kind="stable")
        assert [hit.item.id for hit in answer.hits] == [items[at].id for at in order]
    engine.settle("g")  # type: ignore[attr-defined]
    graph = ReciprocalGraph.build(vectors, settings=child.settings().reranking)
    answer = engine.search("g", Search(probe=Probe(vectors=probe), k=10, rerank="online", exact=True))
    expected = graph.rank(probe[None], 10)
    assert answer.reranking.mode == "online"
    assert [hit.item.id for hit in answer.hits] == [items[key].id for key in expected.ids[0]]
    # What a stop left in a snapshot goes with the next compaction; everything else is in order at once.
    findings = [found for found in engine.verify("g").findings if not found.place.startswith("snapshot")]
    assert not findings, findings


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_named_step_nothing_acknowledged_is_lost(
    children: subprocess.Popen[str], tmp_path: Path, step: str
) -> None:
    known = Known()
    seed = STEPS.index(step)
    favour = FAVOURED.get(step, FAVOURED.get(step.split()[0], []))
    for turn in range(AT_EACH_STEP):
        often = step.startswith(("transaction", "crop", "committed", "searchable"))
        count = 1 + turn * (9 if often else 1)
        job = {"seed": seed + 1000 * turn, "favour": favour, "step": step, "count": count}
        assert kill_once(children, tmp_path / "data", known, **job) == step
    sound_once_compacted(tmp_path / "data")


@pytest.mark.parametrize("during", ["add", "delete", "feedback"])
@pytest.mark.parametrize("step", ["transaction filled", "committed", "searchable"])
def test_killed_between_the_steps_of_a_write_it_is_done_wholly_or_not_at_all(
    children: subprocess.Popen[str], tmp_path: Path, step: str, during: str
) -> None:
    known = Known()
    for turn in range(AT_EACH_STEP):
        job = {"seed": turn, "step": step, "during": during, "count": 2}
        assert kill_once(children, tmp_path / "data", known, **job) == step
    assert known.acknowledged > 0


@pytest.mark.parametrize("share", range(SHARES))
def test_killed_at_any_instant_nothing_acknowledged_is_lost(
    children: subprocess.Popen[str], tmp_path: Path, share: int
) -> None:
    rng = random.Random(share)
    known = Known()
    for _ in range(RANDOM_KILLS // SHARES):
        kill_once(children, tmp_path / "data", known, seed=rng.random(), after_ms=rng.uniform(5, 400))
    assert known.acknowledged > 0
    sound_once_compacted(tmp_path / "data")
