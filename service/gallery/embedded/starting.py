"""What a gallery holds in memory when it is opened: what the derived files say, as far as the truth bears it out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from retrieval import ExactIndex, ReciprocalGraph, RetrievalError
from retrieval.approximate import ApproximateIndex
from service.gallery.embedded import derived
from service.gallery.embedded.building import works_here
from service.gallery.embedded.columns import Keys
from service.gallery.embedded.holdings import Held, difference
from service.gallery.embedded.sizes import Sizes
from service.gallery.embedded.truth import Truth
from service.gallery.reports import Finding
from service.gallery.settings import GallerySettings

REPLAYED = 0.2  # share of the items that may have changed since the derived files for these to be worth mending
Saved = TypeVar("Saved", ReciprocalGraph, ApproximateIndex)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """problems: why something is made anew. unsaved: changed items that the derived files do not have yet."""

    held: Held
    problems: tuple[Finding, ...]
    unsaved: int


def held_at_start(
    name: str, folder: Path, truth: Truth, settings: GallerySettings, sizes: Sizes, wanted: Keys
) -> Start:
    """What can be believed of the derived files, brought up to the truth; or its vectors alone.

    wanted: the keys of all items.
    """
    loaded = derived.load(folder, truth.lineage, settings)
    problems, unsaved = list(loaded.problems), 0

    def believed(index: Saved | None) -> Saved | None:
        """The index with the changes since, where these are few and it holds the vectors of this gallery."""
        nonlocal unsaved
        if index is None:
            return None
        if isinstance(index, ApproximateIndex):
            works_here(index.kind)
        missing, gone = difference(index.keys, wanted)
        if len(missing) + len(gone) > max(REPLAYED * len(wanted), sizes.at_once_up_to):
            return None
        try:
            if len(gone):
                index.remove(gone)
            if not derived.of_the_same_vectors(index, truth.vectors):
                problems.append("a saved graph or index holds other vectors than the database")
                return None
            if len(missing):
                index.add(missing, truth.vectors(missing.tolist()))
        except RetrievalError as error:
            problems.append(str(error))
            return None
        unsaved += len(missing) + len(gone)
        return index

    graph, approximate = believed(loaded.graph), believed(loaded.approximate)
    for problem in problems:
        log.warning("gallery %s: %s; it is made again from the database", name, problem)
    findings = tuple(derived.finding(problem) for problem in problems)
    if loaded.manifest is not None and loaded.manifest.change > truth.change:
        graph = approximate = None
        findings += (derived.older_database(loaded.manifest, truth.change),)
        log.error("gallery %s: %s: %s", name, findings[-1].problem, findings[-1].remedy)
    may_be_made = sizes.graph(settings, len(wanted))
    if graph is None and len(wanted) <= sizes.at_once_up_to and may_be_made:
        graph = ReciprocalGraph.build(truth.vectors(), wanted, settings.reranking, device="cpu")
    keeps_graph = loaded.manifest is not None and loaded.manifest.keeps_graph
    if graph is None and (keeps_graph or problems) and settings.rerank != "off" and not may_be_made:
        log.warning(
            "gallery %s: no graph of so many items (%d) is made by itself: if it is to have one again, stop the "
            "service and run vantage gallery build-graph",
            name,
            len(wanted),
        )
    alone = graph is None and approximate is None
    plain = ExactIndex.build(truth.vectors(), wanted) if alone else None
    return Start(Held(graph, approximate, plain, keeps_graph), findings, unsaved)
