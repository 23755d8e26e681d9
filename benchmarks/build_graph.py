"""How fast is a graph made by blocks?    .venv/bin/python benchmarks/build_graph.py [--help]

`GraphDirectory`, as `vantage gallery build-graph` uses it, on 20 and 100 thousand items (--items) of 512 numbers, in
clusters as people's crops are: neighbour lists, then rows as galleries on Milvus keep them; and of the lists the graph
that an embedded gallery holds. With --ray the same by the tasks of a cluster, whose workers have been started before.
"""

import argparse
import resource
import shutil
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _crowd import crowd
from rich.console import Console

from retrieval.gpu_search import Device
from retrieval.rerank import GraphDirectory
from retrieval.rerank.generation import Work
from retrieval.rerank.graph_directory import Mapper

DIMENSION = 512
CROPS_OF_ONE = 12
AT_ONCE = 16_384
console = Console(width=130)


def measure(name: str, vectors: npt.NDArray[np.float32], folder: Path, device: Device, mapper: Mapper) -> None:
    size = len(vectors)
    directory = GraphDirectory(folder / name)
    blocks = ((np.arange(at, min(at + AT_ONCE, size)), vectors[at : at + AT_ONCE]) for at in range(0, size, AT_ONCE))
    ends: dict[str, float] = {}
    began = time.perf_counter()

    def gathered(work: Work, numbers: list[int]) -> object:
        ends.setdefault("vectors", time.perf_counter())
        return mapper(work, numbers)

    directory.update(
        blocks,
        device=device,
        mapper=gathered,  # type: ignore[arg-type]
        progress=lambda stage, done, of: ends.update({stage: time.perf_counter()}),
    )
    lists, rows = ends["lists"] - ends["vectors"], ends["rows"] - ends["lists"]
    console.print(
        f"{name}: vectors written in {ends['vectors'] - began:.1f} s; "
        f"lists in {lists:.1f} s, {size / lists:,.0f} a second, {2 * size**2 * DIMENSION / lists / 1e9:,.1f} GFLOP/s; "
        f"rows in {rows:.1f} s, {size / rows:,.0f} a second"
    )
    if mapper is map:
        began = time.perf_counter()
        graph = directory.graph()
        took = time.perf_counter() - began
        disk = sum(file.stat().st_size for file in directory.path.rglob("*") if file.is_file())
        console.print(
            f"graph in memory of these lists in {took:.1f} s, {size / took:,.0f} items a second; "
            f"{graph.nbytes / size:,.0f} bytes an item beside its vector; directory {disk / size:,.0f}; "
            f"most memory so far {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:,.1f} GB"
        )


def warm_up(name: str, vectors: npt.NDArray[np.float32], folder: Path, mapper: Mapper) -> None:
    """The first block in a process loads what later ones find."""
    began, path = time.perf_counter(), folder / f"{name}-warm"
    GraphDirectory(path).update([(np.arange(64), vectors[:64])], device="cpu", mapper=mapper)
    console.print(f"{name}: the first blocks, of 64 items: {time.perf_counter() - began:.1f} s")
    shutil.rmtree(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="for the run without Ray")
    parser.add_argument("--ray", metavar="auto|HOST:PORT", help="the same once more on this cluster")
    parser.add_argument("--ray-gpus-per-worker", type=float, default=0.0)
    arguments = parser.parse_args()
    if arguments.ray:
        from service.on_ray.cluster import open_cluster
        from service.on_ray.mapper import RayMapper

        cluster, there = open_cluster(arguments.ray), RayMapper(arguments.ray_gpus_per_worker)
    folder = Path(tempfile.mkdtemp(prefix="graph-"))
    try:
        began = time.perf_counter()
        with cluster if arguments.ray else nullcontext():
            console.print(f"started in {time.perf_counter() - began:.1f} s")
            for size in arguments.items:
                console.rule(f"{size:,} items")
                vectors = crowd(size, DIMENSION, max(size // CROPS_OF_ONE, 2))
                warm_up("here", vectors, folder, map)
                measure(f"here-{size}", vectors, folder, arguments.device, map)
                if arguments.ray:
                    warm_up("on-ray", vectors, folder, there)
                    on_gpu = arguments.ray_gpus_per_worker > 0
                    measure(f"on-ray-{size}", vectors, folder, "gpu" if on_gpu else "cpu", there)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
