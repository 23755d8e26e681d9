"""The files derived from the truth: the re-ranking graph and the approximate index, so that a start need not make them.

A manifest, written last, names the files that belong together, by name and checksum, and the gallery and change that
they are of. Whatever does not match it is set aside and made again from the truth; it is never served.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from models import write_durably
from retrieval import CorruptGraphError, ReciprocalGraph, RetrievalError
from retrieval.approximate import ApproximateIndex
from retrieval.array_file import stored_digest
from service.gallery.embedded.holdings import Held
from service.gallery.embedded.steps import reached
from service.gallery.reports import Finding
from service.gallery.settings import GallerySettings

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
REBUILD = (
    "nothing: it is made anew from the database, now or at the next start; a graph that is too large for that, by "
    "vantage gallery build-graph"
)
SAMPLE = 256  # vectors compared with the truth at every start; `verify` compares them all
Index = TypeVar("Index")
VectorsOf = Callable[[list[int]], npt.NDArray[np.float32]]
log = logging.getLogger(__name__)


class DerivedFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str


class Manifest(BaseModel):
    """What the derived files are of: a database, by its lineage, its model, and its state at a change.

    A restored database gives out the same keys for other items, and is of another lineage.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = FORMAT_VERSION
    lineage: str
    model_sha256: str
    dimension: int
    change: int
    count: int
    saved_at: datetime
    graph: DerivedFile | None
    approximate: DerivedFile | None
    keeps_graph: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """What could be believed of the derived files, and in sentences what could not."""

    manifest: Manifest | None
    graph: ReciprocalGraph | None
    approximate: ApproximateIndex | None
    problems: tuple[str, ...]


def save(folder: Path, lineage: str, settings: GallerySettings, change: int, held: Held) -> Manifest:
    """Writes what is held; to be called while nothing is written. What the new manifest does not name is removed."""
    folder.mkdir(exist_ok=True)
    graph = approximate = None
    if held.graph is not None and len(held.graph):
        graph = _save(folder / f"graph-{change}", held.graph.save)
        reached("graph saved")
    if held.approximate is not None:
        approximate = _save(folder / f"index-{change}", held.approximate.save)
        reached("index saved")
    manifest = Manifest(
        lineage=lineage,
        model_sha256=settings.model_sha256,
        dimension=settings.dimension,
        change=change,
        count=len(held.table),
        saved_at=datetime.now(UTC),
        graph=graph,
        approximate=approximate,
        keeps_graph=held.keeps_graph,
    )
    write_durably(folder / MANIFEST, manifest.model_dump_json(indent=1).encode())
    reached("manifest saved")
    sweep(folder, manifest)
    reached("superseded files removed")
    return manifest


def load(folder: Path, lineage: str, settings: GallerySettings) -> Loaded:
    """Reads the files that the manifest names. Nothing here raises for a damaged file: it can be made again."""
    try:
        manifest = read_manifest(folder)
    except ValueError as error:
        _set_aside(folder, MANIFEST)
        return Loaded(None, None, None, (str(error),))
    if manifest is None:
        return Loaded(None, None, None, ())
    if (manifest.lineage, manifest.model_sha256, manifest.dimension) != (
        lineage,
        settings.model_sha256,
        settings.dimension,
    ):
        _set_aside(folder, MANIFEST)
        return Loaded(None, None, None, (f"{folder / MANIFEST} is of another gallery or model",))
    problems: list[str] = []
    graph = _load(folder, manifest.graph, ReciprocalGraph.load, problems)
    if graph is not None and (graph.settings != settings.reranking or graph.dimension != settings.dimension):
        problems.append(f"{folder / 'graph'}: made with other settings of re-ranking")
        graph = None
    approximate = _load(folder, manifest.approximate, ApproximateIndex.load, problems)
    return Loaded(manifest, graph, approximate, tuple(problems))


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest, None where there is none; ValueError, a sentence, for one that cannot be believed."""
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if manifest.version != FORMAT_VERSION:
        raise ValueError(f"{path} is of version {manifest.version}, not {FORMAT_VERSION}")
    return manifest


def believed(folder: Path) -> Manifest | None:
    """The manifest, or None where there is none that can be believed."""
    try:
        return read_manifest(folder)
    except ValueError:
        return None


def finding(problem: str) -> Finding:
    return Finding(place="derived files", problem=problem, remedy=REBUILD, serious=False)


def older_database(manifest: Manifest, change: int) -> Finding:
    return Finding(
        place="database",
        problem=f"it is at change {change}, and the files derived from it are of change {manifest.change}: "
        "acknowledged writes are missing, as when its write-ahead log (gallery.sqlite-wal) was removed, or an older "
        "copy was put in its place",
        remedy="bring the log or the newer copy back, or restore a snapshot: vantage gallery restore",
        serious=True,
    )


def sweep(folder: Path, manifest: Manifest | None) -> None:
    """Removes what the manifest does not name: superseded files, left-overs of a stop, and what was set aside."""
    named = {MANIFEST} if manifest is not None else set()
    if manifest is not None:
        named |= {file.name for file in (manifest.graph, manifest.approximate) if file is not None}
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in named:
            path.unlink()


def of_the_same_vectors(table: ReciprocalGraph | ApproximateIndex, vectors_of: VectorsOf) -> bool:
    """Whether some vectors, evenly taken, are those of the truth: guards against a file of another gallery."""
    keys = table.keys
    if not len(keys):
        return True
    chosen = keys[np.unique(np.linspace(0, len(keys) - 1, min(SAMPLE, len(keys))).astype(np.intp))]
    return bool(np.array_equal(table.vectors_of(chosen), vectors_of(chosen.tolist())))


def _save(path: Path, write: Callable[[Path], None]) -> DerivedFile:
    write(path)
    return DerivedFile(name=path.name, sha256=stored_digest(path))


def _load(folder: Path, file: DerivedFile | None, read: Callable[[Path], Index], problems: list[str]) -> Index | None:
    if file is None:
        return None
    path = folder / file.name
    try:
        if stored_digest(path) != file.sha256:
            raise CorruptGraphError(f"{path} is not the file that the manifest names")
        return read(path)
    except (OSError, RetrievalError, ValueError) as error:
        problems.append(str(error))
        _set_aside(folder, file.name)
        return None


def _set_aside(folder: Path, name: str) -> None:
    """Keeps a file that was not believed, for whoever wants to know why, until the next save."""
    log.warning("%s was set aside; it is made again from the database", folder / name)
    with suppress(FileNotFoundError):
        (folder / name).replace(folder / f"{name}.set-aside")
