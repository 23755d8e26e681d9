"""A graph of any number of items, made by blocks in a directory of its own: `ReciprocalGraph.build`, but resumable."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from retrieval import CorruptGraphError, ReciprocalGraph
from retrieval.gpu_search import Device
from retrieval.rerank import GraphDirectory, RerankSettings
from retrieval.rerank.graph_directory import Mapper
from service.gallery.embedded.columns import Keys
from service.gallery.embedded.holdings import Vectors, difference
from service.gallery.engine import Progress
from service.gallery.errors import UnavailableError

AT_ONCE = 16_384  # vectors read from the database at a time


def make_graph(
    folder: Path,
    settings: RerankSettings,
    keys: Keys,
    vectors_of: Callable[[Keys], Vectors],
    device: Device,
    mapper: Mapper,
    progress: Progress,
) -> ReciprocalGraph:
    """The graph of these items. What is in the folder already is gone on with; it stays there, to be removed by whoever
    has the graph safe."""
    directory = GraphDirectory(folder, settings, rows=False)

    def blocks(of: Keys) -> Iterator[tuple[Keys, Vectors]]:
        for start in range(0, len(of), AT_ONCE):
            some = of[start : start + AT_ONCE]
            yield some, vectors_of(some)

    try:
        added, gone = difference(np.sort(directory.keys), keys)
        directory.update(blocks(added), gone, device=device, mapper=mapper, progress=progress)
        return directory.graph(progress=lambda done, of: progress("encoded", done, of))
    except CorruptGraphError as error:
        shutil.rmtree(folder)
        raise UnavailableError(f"the graph that was begun is removed ({error}): run the same command again") from error
