"""How fast is the embedded gallery?    .venv/bin/python benchmarks/gallery.py [--help]

At 20 and 200 thousand items (--items, --large adds a million), 512 numbers a vector, in clusters as people's crops are:

1. One probe at a time on one thread, in turn so that a noisy machine troubles all alike: a raw faiss flat search, the
   same vectors in the index that the gallery uses, and the gallery's own search: plain, exact, filtered to 10 % and 1 %
   of the items, and re-ranked. The recall of the plain search beside the exact one.
2. Adding durably: one by one, in batches, and by eight threads at once that share commits. Deleting.
3. Starting again, until the first answer; bytes an item in memory and on disk.
"""

import argparse
import gc
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
from _crowd import crowd
from rich.console import Console
from rich.table import Table

from retrieval.threads import limited_threads
from service.gallery import Filter, GallerySettings, NewItem, Probe, Search
from service.gallery.embedded import EmbeddedEngine, Sizes

DIMENSION = 512
CROPS_OF_ONE = 12
Vectors = npt.NDArray[np.float32]
console = Console(width=130)


def items_of(vectors: Vectors, first: int) -> list[NewItem]:
    """Each of a camera out of ten and of a floor out of a hundred."""
    return [
        NewItem(id=f"crop-{number:08}", vector=row, camera=f"c{number % 10}", metadata={"floor": number % 100})
        for number, row in enumerate(vectors, first)
    ]


def measure(count: int, index: str, probes: int, folder: Path) -> None:
    console.rule(f"{count:,} items, index {index}")
    everything = crowd(count + probes + 3000, DIMENSION, max(count // CROPS_OF_ONE, 2))
    gallery, rest = everything[:count], everything[count:]
    settings = GallerySettings(model_name="crowd", model_sha256="ab" * 32, dimension=DIMENSION, index=index)  # type: ignore[arg-type]
    path = folder / f"{index}-{count}"
    # While it is filled it keeps no graph and no index: with them each item added is compared with all that are there.
    engine = EmbeddedEngine.open(path, sizes=Sizes(flat_up_to=1 << 40, graph_up_to=0))
    engine.create("g", settings)
    began = time.perf_counter()
    for start in range(0, count, 10_000):
        engine.add("g", items_of(gallery[start : start + 10_000], start))
    console.print(f"filled: {count / (time.perf_counter() - began):,.0f} items/s in batches of 10,000")
    engine.close()
    engine = EmbeddedEngine.open(path)
    began = time.perf_counter()
    engine.settle("g")
    info = engine.info("g")
    console.print(
        f"settled in {time.perf_counter() - began:.1f} s: index {info.index.kind} {info.index.parameters} "
        f"(recall@10 {'exact' if info.index.recall is None else f'{info.index.recall:.3f}'}), graph {info.index.graph}"
    )
    searches(engine, gallery, rest[:probes])
    writes(engine, rest[probes:], count)
    began = time.perf_counter()
    engine.close()
    closed = time.perf_counter() - began
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    console.print(f"closed (refreshed and saved) in {closed:.1f} s; {size / count:,.0f} bytes an item on disk")
    gc.collect()
    before = resident()
    began = time.perf_counter()
    engine = EmbeddedEngine.open(path, upkeep=False)
    engine.search("g", Search(probe=Probe(vectors=rest[0])))
    ready = time.perf_counter() - began
    held = engine.info("g").index
    console.print(
        f"started again, to the first answer: {ready:.2f} s; {(resident() - before) / count:,.0f} bytes an item in "
        f"memory ({held.memory_bytes / count:,.0f} are vectors, index, graph), index {held.kind}, graph {held.graph}"
    )
    engine.close()


def searches(engine: EmbeddedEngine, gallery: Vectors, probes: Vectors) -> None:
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(gallery)
    one = engine._gallery("g")
    approximate = one.held.approximate

    def ask(probe: Vectors, **how: Any) -> Any:
        return engine.search("g", Search(probe=Probe(vectors=probe), **({"rerank": "off"} | how)))

    ways: dict[str, Callable[[Vectors], Any]] = {
        "raw faiss flat": lambda probe: flat.search(probe[None], 10),
        "raw index of the gallery": lambda probe: (
            flat.search(probe[None], 10) if approximate is None else approximate.search(probe[None], 10)
        ),
        "plain": lambda probe: ask(probe),
        "plain, exact": lambda probe: ask(probe, exact=True),
        "one camera of ten": lambda probe: ask(probe, filter=Filter(cameras=("c3",))),
        "one floor of a hundred": lambda probe: ask(probe, filter=Filter(metadata={"floor": 7})),
        "re-ranked": lambda probe: ask(probe, rerank="online"),
        "re-ranked among the nearest": lambda probe: ask(probe, rerank="local"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    hits = wanted = 0
    faiss.omp_set_num_threads(1)
    for number, probe in enumerate(probes):
        for name, way in ways.items():
            began = time.perf_counter()
            answer = way(probe)
            if number >= len(probes) // 10:  # the first tenth warms up
                seconds[name].append(time.perf_counter() - began)
            if name == "plain":
                found = {hit.item.id for hit in answer.hits}
            elif name == "plain, exact":
                exact = {hit.item.id for hit in answer.hits}
                hits, wanted = hits + len(found & exact), wanted + len(exact)
    raw = np.median(seconds["raw index of the gallery"])
    table = Table("one probe, one thread", "p50 ms", "p99 ms", "over the raw index, p50", box=None)
    for name, taken in seconds.items():
        p50, p99 = np.percentile(taken, [50, 99])
        over = f"x {p50 / raw:.2f}, {(p50 - raw) * 1000:+.2f} ms"
        table.add_row(name, f"{p50 * 1000:.2f}", f"{p99 * 1000:.2f}", over)
    console.print(table)
    console.print(f"recall@10 of plain beside exact, over {len(probes)} probes: {hits / wanted:.4f}")


def writes(engine: EmbeddedEngine, vectors: Vectors, first: int) -> None:
    new = items_of(vectors, first)
    table = Table("durably and searchable at once", "items/s", box=None)

    def add_each(items: Sequence[NewItem]) -> None:
        for item in items:
            engine.add("g", [item])

    def at_once(items: Sequence[NewItem]) -> None:
        threads = [threading.Thread(target=add_each, args=(items[share::8],)) for share in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def in_batches(items: Sequence[NewItem]) -> None:
        for start in range(0, len(items), 256):
            engine.add("g", items[start : start + 256])

    def delete_each(items: Sequence[NewItem]) -> None:
        for item in items:
            engine.delete("g", ids=[item.id])

    for name, work, share in (
        ("add, one by one", add_each, new[:100]),
        ("add, by eight threads", at_once, new[100:500]),
        ("add, in batches of 256", in_batches, new[500:1524]),
        ("delete, one by one", delete_each, new[:100]),
    ):
        began = time.perf_counter()
        work(share)
        table.add_row(name, f"{len(share) / (time.perf_counter() - began):,.0f}")
    console.print(table)


def resident() -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="*", default=[20_000, 200_000])
    parser.add_argument("--large", action="store_true", help="a million items too (about 12 GB of memory)")
    parser.add_argument("--index", default="auto", choices=["auto", "flat", "half", "signs", "hnsw", "ivf", "gpu"])
    parser.add_argument("--probes", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where the galleries are made; a temporary folder by default")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="vantage-gallery-"))
    try:
        with limited_threads(1):
            for count in [*options.items, *([1_000_000] if options.large else [])]:
                measure(count, options.index, options.probes, folder)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
