"""Both engines are told and asked the same, a thousand times, and must say the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from service.gallery import (
    Answer,
    Feedback,
    Filter,
    GalleryEngine,
    GalleryError,
    GallerySettings,
    NewItem,
    Probe,
    Search,
)
from service.gallery.embedded import EmbeddedEngine

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
STEPS = 1000
IDS = 330  # fewer than local re-ranking looks at and more than that by turns, and fewer than online looks at
CLOSE = 2e-6  # between distances that two programs computed; online, of two sums in another order


def test_both_engines_answer_a_thousand_random_operations_alike(
    open_milvus: Callable[..., GalleryEngine], settings: GallerySettings, tmp_path: Path, crowd_of: Callable[..., Any]
) -> None:
    rng = np.random.default_rng(11)
    crowd = crowd_of(people=110, each=3, seed=5).items
    with EmbeddedEngine.open(tmp_path / "embedded", upkeep=False) as embedded:
        engines: tuple[GalleryEngine, GalleryEngine] = (embedded, open_milvus())
        for engine in engines:
            engine.create("g", settings)
            engine.add("g", crowd[:250])
        counted: dict[str, int] = {}
        for step in range(STEPS):
            name, work = STEPS_BY_CHANCE[int(rng.choice(len(STEPS_BY_CHANCE), p=CHANCES))]
            counted[name] = counted.get(name, 0) + 1
            seed = int(rng.integers(2**31))
            theirs, ours = (told(work, engine, np.random.default_rng(seed), crowd) for engine in engines)
            compare(theirs, ours, f"step {step}: {name}")
        assert min(counted.values()) > 20


def told(work: Callable[..., Any], engine: GalleryEngine, rng: np.random.Generator, crowd: Any) -> Any:
    """What it gives, or the sentence in which it refuses."""
    try:
        return work(engine, rng, crowd)
    except GalleryError as error:
        return f"{type(error).__name__}: {error}"


def compare(theirs: Any, ours: Any, where: str) -> None:
    if isinstance(theirs, Answer) and isinstance(ours, Answer):
        for name in ("change", "exhausted", "hidden", "exact", "requested"):
            assert getattr(ours, name) == getattr(theirs, name), (where, name)
        done = ("applied", "mode", "k1", "k2", "lam", "stale")
        assert [getattr(ours.reranking, n) for n in done] == [getattr(theirs.reranking, n) for n in done], where
        assert len(ours.hits) == len(theirs.hits), where
        for mine, other in zip(ours.hits, theirs.hits, strict=True):
            assert mine.rank == other.rank, where
            assert abs(mine.distance - other.distance) < CLOSE, where
            assert abs(mine.score - other.score) < CLOSE, where
            assert (mine.reranked is None) == (other.reranked is None), where
            if mine.reranked is not None and other.reranked is not None:
                assert abs(mine.reranked - other.reranked) < CLOSE, where
            assert (mine.item.id, mine.confirmed) == (other.item.id, other.confirmed), (where, mine.rank)
            assert described(mine.item) == described(other.item), where
    else:
        assert ours == theirs, where


def described(item: Any) -> dict[str, Any]:
    names = ("camera", "captured_at", "person", "tracklet", "viewpoint", "quality", "metadata", "has_crop")
    return {name: getattr(item, name) for name in names}


# ---- operations ------------------------------------------------------------------------------------------------------


def adds(engine: GalleryEngine, rng: np.random.Generator, crowd: Any) -> Any:
    some = [crowd[place] for place in rng.integers(IDS, size=rng.integers(1, 12))]
    items = [item if rng.random() < 0.5 else moved(item, rng, crowd) for item in some]
    return engine.add("g", items, on_conflict="refuse" if rng.random() < 0.2 else "replace")


def moved(item: NewItem, rng: np.random.Generator, crowd: Any) -> NewItem:
    """The item with something of another's. No two have the same vector: equals are ordered by what rounding made of
    them, which is tested by itself."""
    other = crowd[int(rng.integers(IDS))]
    if rng.random() < 0.4:
        mixed = item.vector + np.float32(rng.uniform(0.1, 0.9)) * other.vector
        item = replace(item, vector=mixed / np.linalg.norm(mixed))
    names = ("camera", "captured_at", "person", "tracklet", "viewpoint", "metadata")
    return replace(item, **{name: getattr(other, name) for name in names if rng.random() < 0.4})


def deletes(engine: GalleryEngine, rng: np.random.Generator, crowd: Any) -> Any:
    dry_run = bool(rng.random() < 0.2)
    if rng.random() < 0.7:
        ids = [crowd[place].id for place in rng.integers(IDS, size=rng.integers(1, 6))]
        receipt = engine.delete("g", ids=ids, dry_run=dry_run)
    else:
        filter = Filter(tracklets=tuple(f"t{n}-{n % 2}" for n in rng.integers(110, size=3)))
        receipt = engine.delete("g", filter=filter, dry_run=dry_run)
    removed = {place: receipt.removed.get(place) for place in ("database", "crops", "feedback")}
    return sorted(receipt.ids), receipt.missing, removed


def says(engine: GalleryEngine, rng: np.random.Generator, crowd: Any) -> Any:
    item, other = (crowd[int(place)].id for place in rng.integers(IDS, size=2))
    verdict = "same" if rng.random() < 0.4 else "different"
    probe: dict[str, Any] = {"probe_item": other} if rng.random() < 0.6 and item != other else {"probe_name": "someone"}
    pair = Feedback(item=item, verdict=verdict, **probe)  # type: ignore[arg-type]
    if rng.random() < 0.3:
        return engine.withdraw_feedback("g", [*engine.feedback("g")[:2], pair])
    return engine.add_feedback("g", [pair])


def lists(engine: GalleryEngine, rng: np.random.Generator, crowd: Any) -> Any:
    filter, limit = any_filter(rng), int(rng.integers(1, 90))
    seen, cursor = [], None
    while True:
        page = engine.list("g", filter, cursor=cursor, limit=limit)
        seen += [(item.id, described(item)) for item in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    summary = engine.summary("g", filter)
    return seen, engine.count("g", filter), summary, engine.feedback("g"), engine.info("g").change


def asks(engine: GalleryEngine, rng: np.random.Generator, crowd: Any) -> Any:
    rerank = str(rng.choice(["off", "local", "online"], p=[0.55, 0.37, 0.08]))
    if rerank == "online":
        engine.settle("g")  # type: ignore[attr-defined]
    how: dict[str, Any] = {}
    if rng.random() < 0.3:
        how |= {"group_by": str(rng.choice(["person", "tracklet", "camera"])), "max_per_group": int(rng.integers(1, 4))}
    if rng.random() < 0.3:
        how["min_score"] = float(rng.uniform(0.0, 0.6))
    if rng.random() < 0.3:
        how["exclude_same_camera_within_s"] = float(rng.choice([0, 600, np.inf]))
    k = int(rng.choice([1, 3, 10, 40, 400]))
    search = Search(probe=any_probe(rng, crowd), k=k, filter=any_filter(rng), rerank=rerank, **how)  # type: ignore[arg-type]
    return engine.search("g", search)


def any_probe(rng: np.random.Generator, crowd: Any) -> Probe:
    if rng.random() < 0.4:
        return Probe(item=crowd[int(rng.integers(IDS))].id)
    vectors = np.stack([crowd[place].vector for place in rng.integers(IDS, size=rng.integers(1, 4))])
    weights = rng.random(len(vectors)) + 0.1 if rng.random() < 0.5 else None
    at = NOON + timedelta(minutes=30)
    return Probe(vectors=vectors, weights=weights, camera="c1", captured_at=at, name="someone")


def any_filter(rng: np.random.Generator) -> Filter:
    def sometimes(value: Any, else_: Any = None) -> Any:
        return value if rng.random() < 0.15 else else_

    return Filter(
        cameras=sometimes(("c1", "c2")),
        not_cameras=sometimes(("c0",), ()),
        persons=sometimes(tuple(f"p{n}" for n in range(0, 110, 2))),
        viewpoints=sometimes(("front", "back")),
        time_from=sometimes(NOON + timedelta(minutes=10)),
        time_to=sometimes(NOON + timedelta(minutes=50)),
        metadata=sometimes({"floor": 1.0}, {}),
    )


STEPS_BY_CHANCE = (("adds", adds), ("deletes", deletes), ("says", says), ("lists", lists), ("asks", asks))
CHANCES = (0.2, 0.1, 0.1, 0.1, 0.5)
