"""Synthetic people as a folder on disk, in the form in which Market-1501 is laid out."""

from __future__ import annotations

import csv
import os
import secrets
import shutil
from pathlib import Path

from training.data.synthetic.errors import SyntheticSpecError
from training.data.synthetic.rendering import render_jpegs
from training.data.synthetic.schedule import FOLDERS, SyntheticCrop, SyntheticSpec, plan

VIEWPOINTS_FILE = "viewpoints.csv"


def write_folder(spec: SyntheticSpec, root: Path | str, workers: int = 1) -> list[SyntheticCrop]:
    """Writes every crop of the spec below `root`, which must be new or empty, and returns the plan.

    ``bounding_box_train``, ``query`` and ``bounding_box_test`` hold JPEG files with names like
    ``0001_c1s1_000151_01.jpg`` (person, camera, pass, frame at 25 a second, box); ``viewpoints.csv`` has the columns
    path and viewpoint (front, side, back). Equal specs give equal bytes. The folder appears whole or not at all.
    """
    target = Path(root)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise SyntheticSpecError(f"{target} already exists and is not an empty folder: remove it or name another")
    crops = plan(spec)
    target.parent.mkdir(parents=True, exist_ok=True)
    growing = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        for folder in FOLDERS.values():
            (growing / folder).mkdir(parents=True)
        for crop, jpeg in zip(crops, render_jpegs(spec, crops, workers), strict=True):
            _write(growing / crop.path, jpeg)
        lines = growing / VIEWPOINTS_FILE
        with lines.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["path", "viewpoint"])
            writer.writerows([crop.path, crop.viewpoint] for crop in crops)
            file.flush()
            os.fsync(file.fileno())
        for written in (*(growing / name for name in FOLDERS.values()), growing):
            _sync_folder(written)
        growing.rename(target)
    except BaseException:
        shutil.rmtree(growing, ignore_errors=True)
        raise
    _sync_folder(target.parent)
    return crops


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
