"""Holds everything that a gallery consists of against everything else, and says what it would make anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from retrieval import RetrievalError, nearest
from retrieval.array_file import read_arrays
from service.gallery.embedded import derived
from service.gallery.embedded.gallery import DERIVED, EmbeddedGallery
from service.gallery.embedded.holdings import difference
from service.gallery.errors import GalleryError
from service.gallery.reports import Finding, VerifyReport

SAMPLE = 64  # items whose neighbour lists are compared with an exact search
REBUILD = "nothing: it is made anew from the database, now or at the next start"


def verify(name: str, path: Path, opened: Callable[[], EmbeddedGallery]) -> VerifyReport:
    """`opened()` gives the gallery; that it cannot be opened is a finding and not an error."""
    try:
        gallery = opened()
    except GalleryError as error:
        finding = Finding(
            place="database", problem=str(error), remedy="restore a snapshot: vantage gallery restore", serious=True
        )
        return VerifyReport(gallery=name, checked={}, findings=(finding,))
    findings = [
        Finding(place="derived files", problem=problem, remedy=REBUILD, serious=False) for problem in gallery.problems
    ]
    checked: dict[str, int] = {}

    def look() -> None:
        findings.extend(gallery.truth.check())
        checked["items"] = gallery.truth.count
        hashes = gallery.truth.crop_hashes()
        findings.extend(gallery.crops.check(hashes))
        checked["crops"] = len(hashes)
        findings.extend(_memory(gallery, checked))
        findings.extend(_files(path / DERIVED, gallery, checked))

    gallery.alone(look)
    return VerifyReport(gallery=name, checked=checked, findings=tuple(findings))


def _memory(gallery: EmbeddedGallery, checked: dict[str, int]) -> list[Finding]:
    """What searches answer from, against the truth."""
    found: list[Finding] = []

    def report(place: str, problem: str) -> None:
        found.append(Finding(place=place, problem=problem, remedy="restart: " + REBUILD, serious=False))

    keys = gallery.truth.keys()
    held = gallery.held
    for place, there in (
        ("filters", gallery.view.keys[gallery.view.alive]),
        ("vectors" if held.graph is None else "graph", held.table.keys),
        *((("index", held.approximate.keys),) if held.approximate is not None else ()),
    ):
        checked[place] = len(there)
        missing, surplus = difference(there, keys)
        if len(missing) or len(surplus):
            report(place, f"{len(missing)} items of the database are missing and {len(surplus)} are there beside them")
    both = np.intersect1d(held.table.keys, keys, assume_unique=True)
    wrong = np.any(held.table.vectors_of(both) != gallery.truth.vectors(both.tolist()), axis=1) if len(both) else both
    if np.count_nonzero(wrong):
        report("vectors", f"{np.count_nonzero(wrong)} vectors are not those of the database")
    elif held.graph is not None and not held.graph.stale and len(both) > 1:
        sample = both[np.unique(np.linspace(0, len(both) - 1, min(SAMPLE, len(both))).astype(np.intp))]
        lists = held.graph.neighbours_of(sample)
        everything = held.table.vectors_of(both)
        probes = everything[np.searchsorted(both, sample)]
        exact = nearest(probes, everything, min(lists.shape[1] + 1, len(both)), device="cpu").indices
        width = lists.shape[1]
        expected = [
            [int(both[at]) for at in row if both[at] != key][:width] for key, row in zip(sample, exact, strict=True)
        ]
        checked["neighbour lists"] = len(sample)
        if any(row[: len(mine)].tolist() != mine for row, mine in zip(lists, expected, strict=True)):
            report("graph", "neighbour lists are not those of an exact search")
    return found


def _files(folder: Path, gallery: EmbeddedGallery, checked: dict[str, int]) -> list[Finding]:
    """The files beside the database, against their manifest and their own checksums."""
    found: list[Finding] = []
    try:
        manifest = derived.read_manifest(folder)
    except ValueError as error:
        return [Finding(place="derived files", problem=str(error), remedy=REBUILD, serious=False)]
    if manifest is None:
        return []
    if manifest.lineage != gallery.truth.lineage or manifest.change > gallery.truth.change:
        problem = f"{folder / derived.MANIFEST} is not of this gallery, or of a later state than its database"
        found.append(Finding(place="derived files", problem=problem, remedy=REBUILD, serious=False))
    for file in (manifest.graph, manifest.approximate):
        if file is not None:
            checked["derived files"] = checked.get("derived files", 0) + 1
            try:
                read_arrays(folder / file.name)
            except (OSError, RetrievalError) as error:
                found.append(Finding(place="derived files", problem=str(error), remedy=REBUILD, serious=False))
    return found
