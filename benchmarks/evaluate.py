"""How long does scoring take, once all is embedded?    .venv/bin/python benchmarks/evaluate.py [--quick] [--msmt17]

Made-up embeddings of Market-1501's size (3,368 queries, 15,913 gallery pictures, 512 numbers each), scored as
`vantage-train evaluate` does: ranking, verification, open set and the table of viewpoints, plain and re-ranked. Each
way runs in a process of its own; memory is the peak above what was held before. MSMT17's size (11,659 x 82,161) is for
machines with time: what counts there is that memory stays far below the 3.8 GB of its whole distance matrix.
"""

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from training.data import Picture, Split
from training.evaluation import EmbeddedSplit, Rerank, Trial, Views, evaluate, labels_of

MARKET, MSMT17 = (3368, 15913, 750, 6), (11659, 82161, 3060, 15)
DIMENSIONS = 512


def trial_of(queries: int, gallery: int, people: int, cameras: int) -> Trial:
    """Clusters, one a person, wide enough that some answers are wrong."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((people, DIMENSIONS), dtype=np.float32)

    def side(count: int) -> EmbeddedSplit:
        of, seen = rng.integers(people, size=count), rng.integers(cameras, size=count)
        rows = centres[of] + 2.2 * rng.standard_normal((count, DIMENSIONS), dtype=np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        pictures = (
            Picture(Path(), f"{at}", f"{person:04d}", f"c{camera}")
            for at, (person, camera) in enumerate(zip(of.tolist(), seen.tolist(), strict=True))
        )
        return EmbeddedSplit(Split(tuple(pictures)), rows)

    asked, kept = side(queries), side(gallery)
    query_labels, gallery_labels = labels_of(asked.split, kept.split, ignore_cameras=False)
    return Trial(
        query=asked,
        gallery=kept,
        query_labels=query_labels,
        gallery_labels=gallery_labels,
        ignore_cameras=False,
        views=Views(rng.integers(3, size=queries), rng.integers(3, size=gallery), "chance"),
        junk=0,
        junk_pictures=None,
        multi_query=None,
        multi_query_alone=0,
        unreadable=(),
    )


def measure(size: tuple[int, int, int, int], rerank: Rerank) -> tuple[float, float, float]:
    """Seconds, peak bytes beyond the embeddings, and mAP."""
    trial = trial_of(*size)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is held now
    before = resident("VmRSS")
    start = time.perf_counter()
    evaluation = evaluate(trial, rerank)
    seconds = time.perf_counter() - start
    return seconds, resident("VmHWM") - before, evaluation.ranking.map_step


def resident(what: str) -> float:
    """Bytes of memory this process holds now (VmRSS) or held at its peak (VmHWM), as Linux counts them."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what)]
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="plain and exact re-ranking only")
    parser.add_argument("--msmt17", action="store_true", help="the size of MSMT17 as well, plain")
    arguments = parser.parse_args()
    ways: list[tuple[str, tuple[int, int, int, int], Rerank]] = [
        ("Market-1501", MARKET, "off"),
        ("Market-1501", MARKET, "exact"),
    ]
    if not arguments.quick:
        ways.append(("Market-1501", MARKET, "online"))
    if arguments.msmt17:
        ways.append(("MSMT17", MSMT17, "off"))
    table = Table(title=f"Scoring {DIMENSIONS}-dimensional embeddings: all metrics and the table of viewpoints")
    for heading in ("size", "re-ranking", "time (s)", "peak memory (MB)", "whole matrix (MB)", "mAP"):
        table.add_column(heading, justify="left" if heading in ("size", "re-ranking") else "right")
    for name, size, rerank in ways:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            seconds, memory, score = pool.submit(measure, size, rerank).result()
        whole = size[0] * size[1] * 4 / 1e6
        table.add_row(name, rerank, f"{seconds:.1f}", f"{memory / 1e6:,.0f}", f"{whole:,.0f}", f"{score:.1%}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
