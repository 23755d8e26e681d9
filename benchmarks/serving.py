"""How fast is the service beside the model alone?    .venv/bin/python benchmarks/serving.py --make osnet|resnet50

Everything runs on two cores and takes turns in one run, so that a noisy machine troubles all alike: the bare
onnxruntime loop on crops that lie ready (the limit: the best of several batch sizes), and HTTP servers, pressed by 1, 8
and 32 clients in a process of their own that wait for an answer before they ask again. Figures are medians over rounds.

    search     `vantage serve`: a JPEG in; decoded, embedded, searched and re-ranked in a gallery of 16,000 items
    embed      `vantage serve`: a JPEG in, its vector out
    plain      the handler that one writes first: FastAPI, a thread pool, session.run; it only embeds
    litserve   LitServe with batches of up to 8; it only embeds (--litserve PYTHON names an interpreter that has it)

--model DIR takes any bundle of ours instead of random weights. --requests N then sends N searches and compares the
service's memory with that after the first 1,000.
"""

import argparse
import multiprocessing
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from _random_bundle import BACKBONES, make_bundle
from _serving_load import Load, ask, press
from PIL import Image
from rich.console import Console
from rich.table import Table

from models import Bundle
from service.gallery import GallerySettings, NewItem
from service.gallery.embedded import EmbeddedEngine
from training.data.synthetic import SyntheticSpec, plan, render

console = Console(width=120)
CLIENTS = (1, 8, 32)
BATCHES = (1, 2, 4, 8, 16)
GALLERY = "bench"
# Threads of BLAS and of OpenMP; onnxruntime has its own.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def fill(data: Path, bundle: Bundle, items: int) -> None:
    """Vectors in groups of ten, which re-ranking has something to do with."""
    random = np.random.default_rng(0)
    people = random.normal(size=(items // 10, bundle.card.embedding.dimension))
    vectors = people[np.arange(items) % len(people)] + 0.7 * random.normal(size=(items, people.shape[1]))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    engine = EmbeddedEngine.open(data)
    engine.create(GALLERY, GallerySettings.for_model(bundle.card, bundle.sha256))
    engine.add(
        GALLERY, [NewItem(id=f"i{row}", vector=vector, camera=f"c{row % 6}") for row, vector in enumerate(vectors)]
    )
    engine.close()


def jpegs(count: int) -> list[bytes]:
    """Rendered people as a detector would cut them out, 128 x 256."""
    spec = SyntheticSpec(people=4, cameras=2)
    files = []
    for crop in plan(spec)[:count]:
        file = BytesIO()
        Image.fromarray(render(spec, crop)).resize((128, 256)).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


def as_requests(path: str, files: list[bytes], *, form: bool = False) -> list[bytes]:
    """form: as a form sends them, instead of as the whole body."""
    if form:
        before = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        files = [before + file + b"\r\n--x--\r\n" for file in files]
    kind = "multipart/form-data; boundary=x" if form else "image/jpeg"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: "
    return [f"{head}{len(file)}\r\n\r\n".encode() + file for file in files]


def bare_loop(model: bytes, shape: tuple[int, int], seconds: float) -> tuple[float, float]:
    """Crops a second at the best batch size, and milliseconds of a single one."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    crops = np.random.default_rng(0).integers(0, 256, (BATCHES[-1], *shape, 3), dtype=np.uint8)
    best, single = 0.0, 0.0
    for batch in BATCHES:
        session.run(["embedding"], {"crops": crops[:batch]})
        took: list[float] = []
        while sum(took) < seconds / len(BATCHES) or len(took) < 3:
            begin = time.perf_counter()
            session.run(["embedding"], {"crops": crops[:batch]})
            took.append(time.perf_counter() - begin)
        best = max(best, batch * len(took) / sum(took))
        single = single or statistics.median(took) * 1000
    return best, single


@contextmanager
def server(command: list[str], port: int, ready: str, log: Path) -> Iterator[int]:
    """A server while it is pressed; gives its process number."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=ENVIRONMENT, process_group=0)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit(f"{' '.join(command)} ended:\n{log.read_text()[-2000:]}")
            if _answers(port, ready):
                break
            time.sleep(0.1)
        yield process.pid
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _answers(port: int, ready: str) -> bool:
    try:
        if not ready:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=1) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def memory(process: int) -> float:
    """Resident, MiB."""
    line = next(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--make", choices=BACKBONES, default="osnet", help="random weights of this network")
    which.add_argument("--model", type=Path, help="a bundle instead")
    parser.add_argument("--only", nargs="*", default=["search", "embed", "plain"], help="which servers")
    parser.add_argument("--litserve", metavar="PYTHON", help="an interpreter with litserve, onnxruntime and pillow")
    parser.add_argument("--items", type=int, default=16_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--requests", type=int, default=0, help="searches for the memory test; 0 leaves it out")
    parser.add_argument("--work", type=Path, help="where to keep bundle and gallery for another time")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # and so for all that is started

    with ExitStack() as stack:
        work = arguments.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        folder = arguments.model or work / arguments.make
        if not folder.exists():
            console.print(f"making {folder.name} ...")
            maker = multiprocessing.get_context("spawn").Process(target=make_bundle, args=(arguments.make, folder))
            maker.start()  # in a process of its own: torch would stay in memory here
            maker.join()
        bundle = Bundle.open(folder)
        data = work / f"data-{bundle.card.name}-{arguments.items}"
        if not data.exists():
            fill(data, bundle, arguments.items)
        measure(arguments, bundle, data, work, stack)


def measure(arguments: argparse.Namespace, bundle: Bundle, data: Path, work: Path, stack: ExitStack) -> None:
    shape = (bundle.card.input.height, bundle.card.input.width)
    files = jpegs(16)
    paths = {"search": f"/v1/galleries/{GALLERY}/search?top_k=10", "embed": "/v1/embed"}
    ports: dict[str, int] = {}
    ours = 0
    if {"search", "embed"} & set(arguments.only):
        port = free_port()
        command = [sys.executable, "-m", "service", "serve", "--data", str(data), "--model", str(bundle.path)]
        command += ["--device", "cpu", "--port", str(port)]
        ours = stack.enter_context(server(command, port, "/readyz", work / "vantage.log"))
        ports |= {name: port for name in ("search", "embed") if name in arguments.only}
    peers = {name: sys.executable for name in ("plain",) if name in arguments.only}
    if arguments.litserve:
        peers["litserve"] = arguments.litserve
    for name, python in peers.items():
        ports[name] = free_port()
        command = [python, str(Path(__file__).with_name("_serving_peers.py")), name, str(ports[name]), str(bundle.file)]
        stack.enter_context(server([*command, *map(str, shape)], ports[name], "", work / f"{name}.log"))

    limits, singles = [], []
    seen: dict[tuple[str, int], list[tuple[float, Load]]] = defaultdict(list)
    for _ in range(arguments.rounds):
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            limit, single = alone.apply(bare_loop, (bundle.model_bytes, shape, arguments.seconds))
        limits.append(limit)
        singles.append(single)
        for name, port in ports.items():
            requests = as_requests(paths.get(name, "/embed"), files, form=name == "litserve")
            for clients in CLIENTS:
                load = press(port, requests, clients, arguments.seconds, warm_up=1.0)
                seen[name, clients].append((load.rate / limit, load))
    show(bundle.card.name, statistics.median(limits), statistics.median(singles), seen)
    if arguments.requests and ours:
        requests = as_requests(paths["search"], files)
        ask(ports["search"], requests, 8, 1000)
        early = memory(ours)
        ask(ports["search"], requests, 8, arguments.requests)
        late = memory(ours)
        console.print(
            f"memory: {early:.0f} MiB after 1,000 searches, {late:.0f} MiB after {arguments.requests:,} more "
            f"({late / early - 1:+.1%})"
        )


def show(model: str, limit: float, single: float, seen: dict[tuple[str, int], list[tuple[float, Load]]]) -> None:
    table = Table(title=f"{model}: the bare loop does {limit:.1f} crops a second, one crop in {single:.1f} ms")
    for heading in (
        "server",
        "clients",
        "of the bare loop",
        "least, most",
        "a second",
        "p50 ms",
        "p99 ms",
        "generator",
    ):
        table.add_column(heading, justify="left" if heading == "server" else "right")
    for (name, clients), measured in seen.items():
        ratios = [ratio for ratio, _ in measured]
        loads = [load for _, load in measured]
        table.add_row(
            name,
            str(clients),
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f}, {max(ratios):.2f}",
            *(f"{statistics.median(getattr(load, of) for load in loads):.1f}" for of in ("rate", "p50", "p99")),
            f"{statistics.median(load.own for load in loads):.0%} of a core",
        )
    console.print(table)


if __name__ == "__main__":
    main()
