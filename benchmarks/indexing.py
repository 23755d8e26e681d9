"""How fast is `vantage index` beside the model alone?    .venv/bin/python benchmarks/indexing.py [--osnet] [--images N]
                                                      ... and on Ray beside itself?    --ray auto|HOST:PORT

Images a second of indexing (files read, hashed, decoded, embedded, committed durably, searchable) over those of a bare
onnxruntime loop with the same model and batch size on crops that were decoded beforehand. The two take turns in one
process, on the same pictures, so that a noisy machine troubles both alike. "running" leaves out the start of the
decoding processes and the first commit, which a long run does not feel. The goal is a ratio of 0.90.

--ray adds a run on a cluster to each turn; its ratios are to the local run. Its actors are started anew for each run,
which "running" leaves out.

The pictures are rendered people, 128 x 64 JPEG files, each copied several times. The default model is the small one
that comes with vantage, beside which decoding weighs most; --osnet makes a bundle of osnet_x1_0 at 256 x 128 with
random weights, as heavy as what is usual; --model DIR takes any.
"""

import argparse
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image
from rich.console import Console
from rich.table import Table

from models import ZOO, Bundle, to_crops
from service.gallery import AddResult, GallerySettings, NewItem
from service.gallery.embedded import EmbeddedEngine
from service.indexing import Embedder, Folder, IndexingRun, Tally, parse_pattern
from training.data.synthetic import SyntheticSpec, write_folder

console = Console(width=120)


def render(folder: Path, images: int) -> None:
    """Rendered people, and copies of them until there are so many."""
    write_folder(SyntheticSpec(people=16, cameras=4, crops_per_pass=2), folder / "0")
    first = sorted((folder / "0").rglob("*.jpg"))
    count, copy = len(first), 0
    while count < images:
        copy += 1
        for path in first[: images - count]:
            target = folder / str(copy) / path.relative_to(folder / "0")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        count += min(len(first), images - count)


def make_osnet(out: str) -> None:
    """A bundle of osnet_x1_0 with random weights, whose statistics are those of rendered people."""
    import torch
    from torch import nn

    from training.data import load_dataset
    from training.export import ExportFacts, licence_of, proof_crops, served_input, write_bundle
    from training.networks import NetworkSettings, PixelNormalisation, ReidNetwork

    torch.manual_seed(0)
    spec = served_input(256, 128, "bilinear")
    crops = proof_crops(load_dataset("synthetic:people=24,cameras=3,seed=1,size=128x64"), spec, workers=1)
    network = ReidNetwork(NetworkSettings("osnet_x1_0", 256, 128, persons=3, viewpoint_classifier=True))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
    network.train()
    with torch.no_grad():
        network(PixelNormalisation(network.mean, network.std)(torch.from_numpy(np.array(crops.pixels[:32]))))
    facts = ExportFacts("osnet-random", "1", licence_of("synthetic", None, None), spec)
    write_bundle(network.eval(), facts, Path(out), crops, half_precision=False)


class BareLoop:
    """onnxruntime as it comes, on all cores, on crops that lie ready."""

    def __init__(self, bundle: Bundle, files: list[Path], batch: int) -> None:
        card = bundle.card
        self.session = onnxruntime.InferenceSession(bundle.model_bytes, providers=["CPUExecutionProvider"])
        self.name, self.outputs = card.input.name, [card.outputs.embedding]
        pixels = to_crops((Image.open(file) for file in files), card.input).pixels
        self.batches = [pixels[start : start + batch] for start in range(0, len(pixels), batch)]
        self.images = len(pixels)
        self.session.run(self.outputs, {self.name: self.batches[0]})

    def __call__(self) -> float:
        """Images a second."""
        began = time.perf_counter()
        for batch in self.batches:
            self.session.run(self.outputs, {self.name: batch})
        return self.images / (time.perf_counter() - began)


@dataclass(frozen=True, slots=True)
class Speed:
    """Images a second over all, and once running."""

    whole: float
    running: float


MakeRun = Callable[[EmbeddedEngine, Folder], Callable[[], Tally]]


def local_run(bundle: Bundle, batch: int) -> MakeRun:
    embedder = Embedder(bundle, batch=batch)
    return lambda engine, source: IndexingRun(engine, "g", source, embedder)


def run_on_ray(bundle: Bundle, batch: int) -> MakeRun:
    from service.indexing.on_ray import RayRun, Workers

    workers = Workers.of_cluster()
    return lambda engine, source: RayRun(engine, "g", source, bundle, workers, batch=batch)


def measure(make_run: MakeRun, bundle: Bundle, folder: Path, images: int) -> Speed:
    """One run into a new gallery."""
    commits: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as data, EmbeddedEngine.open(data) as engine:
        engine.create("g", GallerySettings.for_model(bundle.card, bundle.sha256))
        add = engine.add

        def timed(name: str, items: Sequence[NewItem], **options: Any) -> tuple[AddResult, ...]:
            results = add(name, items, **options)
            commits.append((len(items), time.perf_counter()))
            return results

        engine.add = timed  # type: ignore[method-assign]
        run = make_run(engine, Folder(folder, parse_pattern("market1501")))
        began = time.perf_counter()
        tally = run()
        ended = time.perf_counter()
        if tally != Tally(added=images):
            raise SystemExit(f"indexing went wrong: {tally}")
    (first, since), (_, until) = commits[0], commits[-1]
    return Speed(images / (ended - began), (images - first) / (until - since))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ZOO / "synthetic-tiny", help="a bundle")
    parser.add_argument("--osnet", action="store_true", help="osnet_x1_0 with random weights instead")
    parser.add_argument("--images", type=int, default=8192)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--ray", metavar="auto|HOST:PORT", help="on this cluster too")
    arguments = parser.parse_args()
    cluster: Any = nullcontext()
    if arguments.ray is not None:
        from service.indexing.on_ray import open_cluster

        cluster = open_cluster(arguments.ray)
    with tempfile.TemporaryDirectory() as scratch, cluster:
        model = arguments.model
        if arguments.osnet:
            model = Path(scratch) / "osnet-random"
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:  # torch ends with its process
                pool.submit(make_osnet, str(model)).result()
        bundle = Bundle.open(model)
        folder = Path(scratch) / "pictures"
        render(folder, arguments.images)
        bare = BareLoop(bundle, sorted(folder.rglob("*.jpg")), arguments.batch)
        table = Table(title=f"{bundle.card.name}, {bare.images:,} pictures, batches of {arguments.batch}: images/s")
        headings = ["turn", "bare loop", "index", "running", "index / bare", "running / bare"]
        if arguments.ray is not None:
            headings += ["on Ray", "running", "Ray / index", "running / running"]
        for heading in headings:
            table.add_column(heading, justify="right")
        ratios = []
        for turn in range(arguments.turns):
            before = bare()
            speed = measure(local_run(bundle, arguments.batch), bundle, folder, bare.images)
            alone = (before + bare()) / 2
            found = [speed.whole / alone, speed.running / alone]
            shown = [f"{alone:,.0f}", f"{speed.whole:,.0f}", f"{speed.running:,.0f}", *(f"{of:.2f}" for of in found)]
            if arguments.ray is not None:
                there = measure(run_on_ray(bundle, arguments.batch), bundle, folder, bare.images)
                found += [there.whole / speed.whole, there.running / speed.running]
                shown += [f"{there.whole:,.0f}", f"{there.running:,.0f}", *(f"{of:.2f}" for of in found[2:])]
            ratios.append(found)
            table.add_row(str(turn + 1), *shown)
        medians = [f"{float(np.median(column)):.2f}" for column in zip(*ratios, strict=True)]
        table.add_row(
            "median", "", "", "", *medians[:2], *(["", "", *medians[2:]] if medians[2:] else []), style="bold"
        )
        console.print(table)


if __name__ == "__main__":
    main()
