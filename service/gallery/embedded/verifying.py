"""Holds everything that a gallery consists of against everything else, and says what it would make anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from retrieval import RetrievalError, nearest
from retrieval.array_file import read_arrays
from service.gallery.embedded import derived, snapshots
from service.gallery.embedded.gallery import DERIVED, EmbeddedGallery
from service.gallery.embedded.holdings import difference
from service.gallery.errors import GalleryError
from service.gallery.reports import Finding, VerifyReport

SAMPLE = 64  # items whose neighbour lists are compared with an exact search


def verify(
    name: str, path: Path, snapshot_paths: Sequence[Path], opened: Callable[[], EmbeddedGallery]
) -> VerifyReport:
    """`opened()` gives the gallery; that it cannot be opened is a finding and not an error."""
    findings = [found for snapshot in snapshot_paths for found in snapshots.check(snapshot)]
    checked = {"snapshots": len(snapshot_paths)}
    try:
        gallery = opened()
    except GalleryError as error:
        remedy = "restore a snapshot: vantage gallery restore"
        findings.insert(0, Finding(place="database", problem=str(error), remedy=remedy, serious=True))
        return VerifyReport(gallery=name, checked=checked, findings=tuple(findings))
    findings.extend(gallery.problems)

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
        found.append(
            Finding(place=place, problem=problem, remedy="restart: it is made anew from the database", serious=False)
        )

    keys = gallery.truth.keys()
    held = gallery.held
    for place, there in (
        ("the filters", gallery.view.keys[gallery.view.alive]),
        ("the vectors" if held.graph is None else "the graph", held.table.keys),
        *((("the index", held.approximate.keys),) if held.approximate is not None else ()),
    ):
        checked[f"entries of {place}"] = len(there)
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
        return [derived.finding(str(error))]
    if manifest is None:
        return []
    if manifest.lineage != gallery.truth.lineage:
        problem = f"{folder / derived.MANIFEST} is not of this gallery"
        found.append(derived.finding(problem))
    for file in (manifest.graph, manifest.approximate):
        if file is not None:
            checked["derived files"] = checked.get("derived files", 0) + 1
            try:
                read_arrays(folder / file.name)
            except (OSError, RetrievalError) as error:
                found.append(derived.finding(str(error)))
    return found
