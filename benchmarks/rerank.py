"""How fast is re-ranking, and how much memory does it take?    .venv/bin/python benchmarks/rerank.py [--help]

1. `k_reciprocal` beside a dense literal transcription of the algorithm, on clustered unit vectors of Market-1501's size
   (3,368 queries, 15,913 items). Each runs in a process of its own; memory is the peak above what it held before.
2. `ReciprocalGraph` at 16 and 200 thousand items: building, its size, and one probe at a time: a plain faiss search,
   our plain search, and a re-ranked one, in turn, so that a noisy machine troubles all alike. Then adding and removing.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
from _crowd import crowd
from rich.console import Console
from rich.table import Table

from retrieval.rerank import ReciprocalGraph, k_reciprocal
from retrieval.threads import limited_threads

QUERIES, GALLERY, PEOPLE = 3368, 15913, 1501
Vectors = npt.NDArray[np.float32]
console = Console(width=130)


def dense(query: Vectors, gallery: Vectors, k1: int = 20, k2: int = 6, lam: float = 0.3) -> Vectors:
    """The algorithm as published: whole N x N arrays, and a loop over items."""
    everything = np.concatenate((query, gallery))
    size = len(everything)
    distance = 2 - 2 * (everything @ everything.T)
    np.maximum(distance, 0, out=distance)
    distance /= distance.max(axis=1, keepdims=True)
    rank = np.argsort(distance, axis=1).astype(np.int32)

    def reciprocal(i: int, k: int) -> npt.NDArray[np.int32]:
        forward = rank[i, : k + 1]
        return forward[(rank[forward, : k + 1] == i).any(axis=1)]

    encoding = np.zeros_like(distance)
    for i in range(size):
        first = reciprocal(i, k1)
        members = first
        for candidate in first:
            theirs = reciprocal(int(candidate), round(k1 / 2))
            if len(np.intersect1d(theirs, first)) > 2 / 3 * len(theirs):
                members = np.append(members, theirs)
        members = np.unique(members)
        weights = np.exp(-distance[i, members])
        encoding[i, members] = weights / weights.sum()
    distance = distance[: len(query)]
    averaged = np.empty_like(encoding)
    for i in range(size):
        averaged[i] = encoding[rank[i, :k2]].mean(axis=0)
    del encoding
    holders = [np.flatnonzero(averaged[:, j]) for j in range(size)]
    jaccard = np.zeros((len(query), size), np.float32)
    for i in range(len(query)):
        shared = np.zeros(size, np.float32)
        for j in np.flatnonzero(averaged[i]):
            shared[holders[j]] += np.minimum(averaged[i, j], averaged[holders[j], j])
        jaccard[i] = 1 - shared / (2 - shared)
    return ((1 - lam) * jaccard + lam * distance)[:, len(query) :]


def alone(rerank: Callable[..., Vectors], dimensions: int) -> tuple[Vectors, float, float]:
    """The result, seconds and peak bytes of one way, in this process."""
    everything = crowd(QUERIES + GALLERY, dimensions, PEOPLE)
    query, gallery = everything[:QUERIES], everything[QUERIES:]
    rerank(query[:50], gallery[:500])  # libraries load and threads start here
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is held now
    before = resident("VmRSS")
    start = time.perf_counter()
    result = rerank(query, gallery)
    seconds = time.perf_counter() - start
    return result, seconds, resident("VmHWM") - before


def resident(what: str) -> float:
    """Bytes of memory this process holds now (VmRSS) or held at its peak (VmHWM), as Linux counts them."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what)]
    return int(line.split()[1]) * 1024


def measure_exact(repeats: int) -> None:
    table = Table(title=f"All queries at once: {QUERIES:,} x {GALLERY:,}, k1=20, k2=6, lambda=0.3")
    for heading in ("d", "way", "time (s)", "peak memory (MB)", "dense / ours: time", "memory", "largest difference"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for dimensions in (256, 512):
        ours: list[tuple[Vectors, float, float]] = []
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            ours += [pool.apply(alone, (k_reciprocal, dimensions)) for _ in range(repeats)]
            literal = pool.apply(alone, (dense, dimensions))
            ours += [pool.apply(alone, (k_reciprocal, dimensions)) for _ in range(repeats)]
        seconds, memory = float(np.median([run[1] for run in ours])), max(run[2] for run in ours)
        difference = np.abs(ours[0][0] - literal[0]).max()
        table.add_row(
            str(dimensions), "dense transcription", f"{literal[1]:.1f}", f"{literal[2] / 1e6:,.0f}", "", "", ""
        )
        table.add_row(
            str(dimensions),
            f"retrieval.k_reciprocal, median of {len(ours)}",
            f"{seconds:.2f}",
            f"{memory / 1e6:,.0f}",
            f"{literal[1] / seconds:.1f} x",
            f"{literal[2] / memory:.1f} x",
            f"{difference:.1e}",
        )
    console.print(table)


def measure_graph(size: int, dimensions: int, probes: int) -> None:
    everything = crowd(size + probes + 600, dimensions, max(size // 12, 1), seed=1)
    gallery, asked, new = everything[:size], everything[size : size + probes], everything[size + probes :]
    start = time.perf_counter()
    graph = ReciprocalGraph.build(gallery)
    built = time.perf_counter() - start
    index = faiss.IndexFlatIP(dimensions)
    index.add(gallery)
    ways: dict[str, Callable[[Vectors], object]] = {
        "faiss IndexFlatIP.search, 10 nearest": lambda probe: index.search(probe, 10),
        "our plain search, 10 nearest": lambda probe: graph.search(probe, 10),
        "re-ranked, 10 best": lambda probe: graph.rank(probe, 10),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    with limited_threads(1):  # as a service would ask, which answers several probes at once
        for n in range(probes):
            for name, way in ways.items():
                start = time.perf_counter()
                way(asked[n : n + 1])
                times[name].append((time.perf_counter() - start) * 1e3)
    table = Table(title=f"One probe at a time: {size:,} items, d={dimensions}, {probes} probes, one thread, in turn")
    for heading in ("way", "p50 (ms)", "p99 (ms)", "p50 over faiss (ms)", "p50 over our plain search (ms)"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    plain, own = (float(np.median(times[name])) for name in list(ways)[:2])
    for name, all_times in times.items():
        middle = float(np.median(all_times))
        row = (f"{middle:.3f}", f"{np.percentile(all_times, 99):.3f}", f"{middle - plain:+.3f}", f"{middle - own:+.3f}")
        table.add_row(name, *row)
    console.print(table)
    measure_changes(graph, size, new, built)


def measure_changes(graph: ReciprocalGraph, size: int, new: Vectors, built: float) -> None:
    per_item = graph.nbytes / len(graph)

    def timed(act: Callable[[], object]) -> float:
        start = time.perf_counter()
        act()
        return (time.perf_counter() - start) * 1e3

    singles = [timed(lambda n=n: graph.add([size + n], new[n : n + 1])) for n in range(100)]  # type: ignore[misc]
    batch = timed(lambda: graph.add(np.arange(size + 100, size + 600), new[100:600]))
    after_add = graph.stale
    refresh = timed(graph.refresh)
    drops = [timed(lambda n=n: graph.remove([n * 7])) for n in range(100)]  # type: ignore[misc]
    after_remove = graph.stale
    refresh_again = timed(graph.refresh)
    console.print(
        f"  build {built:.2f} s; {per_item:,.0f} bytes an item beside its vector\n"
        f"  add one: median {np.median(singles):.2f} ms; add 500 at once: {batch / 500:.2f} ms each; "
        f"refresh of the {after_add:,} rows that touched: {refresh:,.0f} ms\n"
        f"  remove one: median {np.median(drops):.2f} ms; "
        f"refresh of the {after_remove:,} rows that touched (100 removals): {refresh_again:,.0f} ms\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--items", type=int, nargs="*", default=[16_000, 200_000], help="gallery sizes of the second part"
    )
    parser.add_argument("--probes", type=int, default=1000, help="probes asked one at a time")
    parser.add_argument(
        "--repeats", type=int, default=2, help="runs of ours before and after the dense one; 0 skips it"
    )
    chosen = parser.parse_args()
    if chosen.repeats:
        measure_exact(chosen.repeats)
    for items in chosen.items:
        measure_graph(items, 512, chosen.probes)
