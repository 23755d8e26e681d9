"""The two engines side by side: this process and its directory, and a Milvus server on the same machine.

    python tests/with_milvus.py .venv-milvus/bin/milvus-server python benchmarks/engines.py [--help]

At 20 and 200 thousand items (--items), 512 numbers a vector, in clusters as people's crops are:

1. Filling; what re-ranking wants (the embedded graph; `refresh`); bytes an item in memory and on disk.
2. One probe at a time, in turn so that a noisy machine troubles both alike: plain, filtered to 10 % and to 1 % of the
   items, re-ranked online and locally. How many of the exact ten nearest those without re-ranking find.
3. Adding, one by one and in batches, and deleting.

The server is any that --milvus names. Memory and disk are told of one that this machine's `milvus-server` runs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _crowd import crowd
from gallery import CROPS_OF_ONE, DIMENSION, items_of
from pymilvus import MilvusClient
from rich.console import Console
from rich.table import Table

from retrieval.threads import limited_threads
from service.gallery import Filter, GalleryEngine, GallerySettings, NewItem, Probe, Search
from service.gallery.embedded import EmbeddedEngine, Sizes
from service.gallery.milvus import MilvusEngine

AT_ONCE = 2_000
Vectors = npt.NDArray[np.float32]
console = Console(width=130)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def fill(engine: GalleryEngine, gallery: Vectors, settings: GallerySettings) -> None:
    engine.create("g", settings)
    for start in range(0, len(gallery), AT_ONCE):
        engine.add("g", items_of(gallery[start : start + AT_ONCE], start))


def measure(count: int, index: str, uri: str, probes: int, graph: bool, folder: Path) -> None:
    console.rule(f"{count:,} items, index {index} on Milvus")
    everything = crowd(count + probes + 2_000, DIMENSION, max(count // CROPS_OF_ONE, 2))
    gallery, rest = everything[:count], everything[count:]
    settings = GallerySettings(model_name="crowd", model_sha256="ab" * 32, dimension=DIMENSION)
    # While it is filled it keeps no graph and no index: with them each item added is compared with all that are there.
    embedded = EmbeddedEngine.open(folder / "embedded", sizes=Sizes(flat_up_to=1 << 40, graph_up_to=0))
    seconds = timed(lambda: fill(embedded, gallery, settings))
    embedded.close()
    table = Table("", "embedded", "Milvus", "Milvus / embedded", box=None)
    milvus = MilvusEngine.open(
        uri,
        database_url=f"sqlite:///{folder / 'shared.sqlite'}",
        crops_directory=folder / "crops",
        snapshots_directory=folder / "snapshots",
        deadline=600.0,
    )
    memory, disk = server_use(uri)
    there = timed(lambda: fill(milvus, gallery, settings.model_copy(update={"index": index})))
    table.add_row("filled, items a second", *pair(count / seconds, count / there, "{:,.0f}"))
    embedded = EmbeddedEngine.open(folder / "embedded", sizes=Sizes() if graph else Sizes(graph_up_to=0))
    resting = timed(lambda: embedded.settle("g"))
    refreshing = timed(lambda: milvus.refresh("g")) if graph else 0.0
    table.add_row("what re-ranking wants, and the index here, s", *pair(resting, refreshing, "{:,.1f}"))
    sealing = timed(lambda: seal(milvus, uri))
    table.add_row("index on Milvus, s", "-", f"{sealing:,.1f}", "")
    own = sum(file.stat().st_size for file in (folder / "embedded").rglob("*") if file.is_file())
    held = embedded.info("g").index
    after = server_use(uri)
    table.add_row("memory, bytes an item", *pair(held.memory_bytes / count, (after[0] - memory) / count, "{:,.0f}"))
    table.add_row("disk, bytes an item", *pair(own / count, (after[1] - disk) / count, "{:,.0f}"))
    lists = sum(file.stat().st_size for file in (folder / "crops").rglob("*") if file.is_file())
    table.add_row("disk for `refresh`, bytes an item", "-", f"{lists / count:,.0f}", "")
    searches(table, embedded, milvus, rest[:probes], graph)
    writes(table, embedded, milvus, rest[probes:], count)
    console.print(table)
    milvus.drop("g")
    milvus.close()
    embedded.close()


def searches(table: Table, embedded: GalleryEngine, milvus: GalleryEngine, probes: Vectors, graph: bool) -> None:
    ways: dict[str, dict[str, Any]] = {
        "plain": {"rerank": "off"},
        "one camera of ten": {"rerank": "off", "filter": Filter(cameras=("c3",))},
        "one floor of a hundred": {"rerank": "off", "filter": Filter(metadata={"floor": 7})},
        "re-ranked locally": {"rerank": "local"},
    } | ({"re-ranked online": {"rerank": "online"}} if graph else {})
    seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ways}
    hits = {name: [0, 0] for name, how in ways.items() if how["rerank"] == "off"}
    for number, probe in enumerate(probes):
        for name, how in ways.items():
            if name in hits:
                exact = ids(embedded.search("g", Search(probe=Probe(vectors=probe[None]), exact=True, **how)))
            for which, engine in enumerate((embedded, milvus)):
                began = time.perf_counter()
                answer = engine.search("g", Search(probe=Probe(vectors=probe[None]), **how))
                if number >= len(probes) // 10:  # the first tenth warms up
                    seconds[name][which].append(time.perf_counter() - began)
                if name == "re-ranked online" and answer.reranking.mode != "online":
                    sys.exit(f"{type(engine).__name__} re-ranked {answer.reranking}")
                if name in hits:
                    hits[name][which] += len(exact & ids(answer))
    for name, taken in seconds.items():
        for percentile in (50, 95):
            own, theirs = (float(np.percentile(each, percentile)) * 1000 for each in taken)
            table.add_row(f"{name}, p{percentile} ms", *pair(own, theirs, "{:.2f}"))
    for name, both in hits.items():
        table.add_row(f"{name}, recall@10", *pair(*(found / (10 * len(probes)) for found in both), "{:.4f}"))


def writes(table: Table, embedded: GalleryEngine, milvus: GalleryEngine, vectors: Vectors, first: int) -> None:
    new = items_of(vectors, first)

    def add(engine: GalleryEngine, items: Sequence[NewItem], at_once: int) -> None:
        for start in range(0, len(items), at_once):
            engine.add("g", items[start : start + at_once])

    def delete(engine: GalleryEngine, items: Sequence[NewItem]) -> None:
        for item in items:
            engine.delete("g", ids=[item.id])

    for name, share, work in (
        ("added one by one, a second", new[:60], lambda engine: add(engine, new[:60], 1)),
        ("added in batches of 256, a second", new[60:1084], lambda engine: add(engine, new[60:1084], 256)),
        ("deleted one by one, a second", new[:60], lambda engine: delete(engine, new[:60])),
    ):
        own, theirs = (len(share) / timed(lambda: work(engine)) for engine in (embedded, milvus))  # noqa: B023
        table.add_row(name, *pair(own, theirs, "{:,.0f}"))


def ids(answer: Any) -> set[str]:
    return {hit.item.id for hit in answer.hits}


def pair(own: float, theirs: float, form: str) -> tuple[str, str, str]:
    return form.format(own), form.format(theirs), f"{theirs / own:.2f}" if own else "-"


def seal(milvus: MilvusEngine, uri: str) -> None:
    """Has the server put down what it holds, and waits until that is indexed."""
    client = MilvusClient(uri=uri)
    [collection] = [name for name in client.list_collections() if name.startswith("vantage_")]
    client.flush(collection)
    until = time.monotonic() + 3600
    while time.monotonic() < until:
        facts = client.describe_index(collection, "vector")
        if 0 < int(facts["total_rows"]) <= int(facts["indexed_rows"]):  # merged segments may wait for theirs
            break
        time.sleep(0.5)
    client.release_collection(collection)  # loaded again, it has the indexed segments alone
    client.load_collection(collection)
    client.close()
    milvus.count("g")


def server_use(uri: str) -> tuple[int, int]:
    """Bytes in memory and on disk of the `milvus-server` that this machine runs there; 0 where it runs none."""
    port = f"--proxy-port={uri.rpartition(':')[2]}"
    memory = disk = 0
    groups: dict[int, list[str]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            groups.setdefault(os.getpgid(int(process.name)), []).append(process.name)
            command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if port in command:
                group = os.getpgid(int(process.name))
                folder = next(word.partition("=")[2] for word in command if word.startswith("--data="))
                disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    if disk:
        for name in groups[group]:  # the program that was started, and the server that it starts
            with suppress(OSError):
                lines = Path(f"/proc/{name}/status").read_text().splitlines()
                memory += next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)
    return memory, disk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--milvus", default=os.environ.get("VANTAGE_TEST_MILVUS_URI"), help="the server's address")
    parser.add_argument("--items", type=int, nargs="*", default=[20_000, 200_000])
    parser.add_argument("--index", default="auto", choices=["auto", "ivf", "hnsw"], help="on Milvus")
    parser.add_argument(
        "--no-graph", action="store_true", help="neither makes what re-ranking online wants, all with all"
    )
    parser.add_argument("--probes", type=int, default=100)
    options = parser.parse_args()
    if options.milvus is None:
        print("not run: it wants a Milvus server, which --milvus names, or tests/with_milvus.py starts")
        return
    with limited_threads(1):
        for count in options.items:
            with tempfile.TemporaryDirectory(prefix="vantage-engines-") as folder:
                measure(count, options.index, options.milvus, options.probes, not options.no_graph, Path(folder))


if __name__ == "__main__":
    main()
