"""What a run is of, so that it is never resumed as another one."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.checkpoint import Checkpoint
from training.data import Dataset
from training.fit_errors import CheckpointError
from training.recipe import Recipe


def data_facts(held: Dataset) -> dict[str, Any]:
    """What was counted, and `digest`: of every picture's name, person, camera and viewpoint, and of who is held out."""
    digest = hashlib.sha256()
    for name, split in held.splits.items():
        for picture in split:
            labels = (name, picture.name, picture.person, picture.camera, picture.viewpoint)
            digest.update(repr(labels).encode())
    return {
        "name": held.name,
        "people": len(held.train.people),
        "pictures": len(held.train),
        "held_out_people": len({*held.query.people, *held.gallery.people}),
        "held_out_queries": len(held.query),
        "held_out_gallery": len(held.gallery),
        "digest": digest.hexdigest(),
    }


def require_same_run(checkpoint: Checkpoint, recipe: Recipe, seed: int, data: dict[str, Any], path: Path) -> None:
    """data: `data_facts` of what is there now; path: the checkpoint's, to name it."""
    changed = first_difference(checkpoint.recipe, asdict(recipe), "")
    if changed is None and checkpoint.seed != seed:
        changed = f"the seed is {seed} and was {checkpoint.seed}"
    if changed is None and checkpoint.data["digest"] != data["digest"]:
        changed = (
            f"the pictures or their labels changed ({data['pictures']:,} pictures of {data['people']:,} people, "
            f"were {checkpoint.data['pictures']:,} of {checkpoint.data['people']:,})"
        )
    if changed is not None:
        raise CheckpointError(
            f"{path} is of another run: {changed}; resume with what it began with, or start a new run in another --out"
        )


def first_difference(before: dict[str, Any], now: dict[str, Any], where: str) -> str | None:
    """A sentence about the first key that differs."""
    for key, value in now.items():
        old = before.get(key)
        if old == value or key == "description":
            continue
        if isinstance(old, dict) and isinstance(value, dict):
            return first_difference(old, value, f"{where}{key}.")
        return f"{where}{key} is {value!r} and was {old!r}"
    return None
