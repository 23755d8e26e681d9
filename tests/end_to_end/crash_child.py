"""Writes to a gallery until it is killed. Run by test_crash.py, which reads the events and looks at what is left.

    python crash_child.py     one job a line on stdin, as JSON; each is done in a forked process, then "done" is printed

A job names the data directory, the file of events, a seed, operations to `favour`, and where to die: `step`, `during`
and `count` (at the count-th time that the step is reached, in that operation or any) or `after_ms`. An event is one
line, written before an operation begins and again when it has been acknowledged: what the operating system has taken
over survives the kill.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from service.gallery import Feedback, GallerySettings, NewItem, Probe, Search
from service.gallery.embedded import EmbeddedEngine, Sizes, steps

DIMENSION = 16
IDS = [f"item-{number:02}" for number in range(60)]
OPERATIONS = {
    "add": 12,
    "delete": 5,
    "feedback": 2,
    "search": 3,
    "reopen": 3,
    "compact": 1,
    "snapshot": 1,
    "delete snapshot": 1,
    "restore": 1,
    "side gallery": 2,
    "settle": 1,
}


def vector_of(version: int) -> np.ndarray:
    vector = np.random.default_rng(version).standard_normal(DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def item_of(id: str, version: int) -> NewItem:
    """What is stored of a version can be told from the version alone."""
    return NewItem(
        id=id,
        vector=vector_of(version),
        camera=f"c{version % 3}",
        captured_at=datetime.fromtimestamp(1_700_000_000 + version, UTC),
        person=f"p{version % 7}",
        metadata={"version": version},
        crop=b"crop of version %d" % version,
    )


def settings() -> GallerySettings:
    return GallerySettings(
        model_name="a model", model_sha256="ab" * 32, dimension=DIMENSION, store_crops=True, k1=8, k2=4
    )


def open_engine(path: Path) -> EmbeddedEngine:
    """Sizes so small that graph and index are made aside, swapped in and saved all the time."""
    return EmbeddedEngine.open(path, sizes=Sizes(flat_up_to=15, half_up_to=25, approximate_from=20, at_once_up_to=4))


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                work(job)
            finally:
                os._exit(3)
        os.waitpid(child, 0)
        print("done", flush=True)


def work(job: dict[str, Any]) -> None:
    events = os.open(job["events"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    rng = random.Random(job["seed"])
    version = job["version"]
    weights = [weight * (20 if kind in job["favour"] else 1) for kind, weight in OPERATIONS.items()]

    def tell(**event: Any) -> None:
        os.write(events, json.dumps(event).encode() + b"\n")

    under_way: list[str] = [""]
    die_there(job, tell, under_way)
    engine = open_engine(Path(job["data"]))
    if "g" not in engine.galleries():
        engine.create("g", settings())
    while True:
        kind = under_way[0] = rng.choices(list(OPERATIONS), weights)[0]
        if kind == "add":
            chosen = rng.sample(IDS, rng.choice([1, 1, 2, 8]))
            versions = list(range(version, version + len(chosen)))
            version += len(chosen)
            tell(begun="add", items=dict(zip(chosen, versions, strict=True)))
            engine.add("g", [item_of(*pair) for pair in zip(chosen, versions, strict=True)])
        elif kind == "delete":
            chosen = rng.sample(IDS, rng.choice([1, 1, 3]))
            tell(begun="delete", ids=chosen)
            engine.delete("g", ids=chosen)
        else:
            tell(begun=kind)
            engine = other_operation(kind, engine, rng, job)
        tell(acknowledged=True)


def die_there(job: dict[str, Any], tell: Any, under_way: list[str]) -> None:
    if job.get("step"):
        left = [job["count"]]

        def watch(step: str) -> None:
            if step == job["step"] and job.get("during") in (None, under_way[0]):
                left[0] -= 1
                if left[0] == 0:
                    tell(died_at=step)
                    os.kill(os.getpid(), signal.SIGKILL)

        steps.watcher = watch
    else:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process at once, wherever it is
        signal.setitimer(signal.ITIMER_REAL, job["after_ms"] / 1000)


def other_operation(kind: str, engine: EmbeddedEngine, rng: random.Random, job: dict[str, Any]) -> EmbeddedEngine:
    snapshots = [info.name for info in engine.snapshots()]
    there = [item.id for item in engine.list("g", limit=5).items]
    if kind == "feedback" and len(there) > 1:
        engine.add_feedback(
            "g", [Feedback(item=there[0], verdict=rng.choice(["same", "different"]), probe_item=there[1])]
        )
    elif kind == "search":
        engine.search("g", Search(probe=Probe(vectors=vector_of(rng.randrange(1000)))))
    elif kind == "reopen":
        engine.close()
        return open_engine(Path(job["data"]))
    elif kind == "compact":
        engine.compact("g")
    elif kind == "snapshot" and len(snapshots) < 3:
        engine.snapshot("g")
    elif kind == "delete snapshot" and snapshots:
        engine.delete_snapshot(rng.choice(snapshots))
    elif kind == "restore" and snapshots:
        engine.restore(rng.choice(snapshots), name="restored", replace=True)
    elif kind == "side gallery":
        side_gallery(engine, rng)
    elif kind == "settle":
        engine.settle("g")
    return engine


def side_gallery(engine: EmbeddedEngine, rng: random.Random) -> None:
    name = rng.choice(["a", "b", "c"])
    if name not in engine.galleries():
        engine.create(name, settings())
        engine.add(name, [replace(item_of("only", 1), camera="side")])
    elif rng.random() < 0.5:
        engine.rename(name, rng.choice(["a", "b", "c"]), replace=True)
    else:
        engine.drop(name)


if __name__ == "__main__":
    main()
