"""Does the service's memory stay?    .venv/bin/python benchmarks/serving_memory.py [--requests 100000]

One `vantage serve` gets a mixture of requests from eight clients: searches by pictures and by items, embeddings,
writes with pictures, replacements, deletes, pages of items, pictures back, bad pictures, bodies that are none, and
requests for metrics. The gallery is filled first and keeps about its size. Its process's resident memory is told after
1,000 requests and along the way: at once, and when the service has had a quiet moment in which it tidies up.
"""

import argparse
import asyncio
import base64
import json
import random
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from serving import free_port, memory, server

console = Console(width=120)
GALLERY = "/v1/galleries/memory"
CLIENTS = 8
IDS = 2000
QUIET_SECONDS = 12.0
STOPS = (1000, 2000, 5000, *range(10_000, 10**7, 10_000))
# Of a hundred requests, so many are of each kind.
MIXTURE = {
    "search": 40,
    "search by item": 8,
    "search, not re-ranked": 4,
    "embed": 8,
    "put": 16,
    "delete": 7,
    "get": 4,
    "page": 2,
    "crop": 2,
    "bad picture": 6,
    "bad request": 2,
    "metrics": 1,
}
EXPECTED = {200, 201, 204, 404, 412, 415, 422, 400}


@dataclass(frozen=True, slots=True)
class Row:
    """After so many requests: MiB at once and after some quiet, threads and open files."""

    requests: int
    at_once: float
    mebibytes: float
    threads: int
    files: int
    seconds: float


def picture(person: int, shot: int, form: str = "JPEG") -> bytes:
    """A small crop: somebody in a shirt and trousers."""
    colours = np.random.default_rng(person).integers(30, 226, (2, 3))
    noise = np.random.default_rng((person, shot)).integers(-20, 21, (96, 48, 3))
    pixels = np.repeat(colours, 48, axis=0)[:, None].repeat(48, axis=1) + noise
    file = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, form)
    return file.getvalue()


class Questions:
    """Requests, made up one by one."""

    def __init__(self) -> None:
        self._random = random.Random(0)
        self._good = [picture(person, shot) for person in range(40) for shot in range(3)]
        self._good += [picture(person, 3, "PNG") for person in range(40)]
        sound = self._good[0]
        self._bad = [b"", sound[: len(sound) // 2], sound[:20], b"<svg/>", bytes(1000), picture(0, 0, "GIF")]
        self._kinds, self._weights = list(MIXTURE), list(MIXTURE.values())

    def next(self) -> bytes:
        draw = self._random
        kind = draw.choices(self._kinds, self._weights)[0]
        item = f"{GALLERY}/items/i{draw.randrange(IDS)}"
        crop = draw.choice(self._good)
        match kind:
            case "search":
                camera = "&camera=c1&camera=c2" if draw.random() < 0.3 else ""
                return asked("POST", f"{GALLERY}/search?top_k={draw.choice([1, 10, 50])}{camera}", crop)
            case "search, not re-ranked":
                return asked("POST", f"{GALLERY}/search?rerank=off", crop)
            case "search by item":
                body = json.dumps({"item_id": f"i{draw.randrange(IDS)}", "explain": True})
                return asked("POST", f"{GALLERY}/search", body.encode(), "application/json")
            case "embed":
                return asked("POST", "/v1/embed", crop)
            case "put":
                return asked("PUT", f"{item}?camera_id=c{draw.randrange(6)}&person=p{draw.randrange(200)}", crop)
            case "delete":
                return asked("DELETE", item)
            case "get":
                return asked("GET", item)
            case "page":
                return asked("GET", f"{GALLERY}/items?limit=50&cursor={draw.randrange(IDS)}")
            case "crop":
                return asked("GET", f"{item}/crop")
            case "bad picture":
                return asked("POST", f"{GALLERY}/search", draw.choice(self._bad))
            case "bad request":
                address = draw.choice([f"{GALLERY}/search?top_k=0", "/v1/nowhere", "/v1/galleries/none/search"])
                return asked("POST", address, b"{", "application/json")
        return asked("GET", "/metrics")


def asked(method: str, path: str, body: bytes = b"", kind: str = "image/jpeg") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
    if method in ("POST", "PUT"):
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


async def send(port: int, questions: Questions, count: int, seen: Counter[int]) -> None:
    """So many requests, by all clients together."""
    left = count

    async def client() -> None:
        nonlocal left
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left > 0:
            left -= 1
            writer.write(questions.next())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            status = int(head[9:12])
            if status != 204:
                await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
            seen[status] += 1
            if b"connection: close" in head:
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


def fill(port: int) -> None:
    def post(path: str, body: bytes, kind: str) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": kind})
        urllib.request.urlopen(request).close()

    post("/v1/galleries", b'{"name": "memory", "store_crops": true}', "application/json")
    rows = (
        {"id": f"i{number}", "image_b64": base64.b64encode(picture(number % 200, number)).decode(), "camera_id": "c1"}
        for number in range(IDS)
        if number % 10 < 7
    )
    lines = "\n".join(json.dumps(row) for row in rows)
    post(f"{GALLERY}/items:batch", lines.encode(), "application/x-ndjson")


def look(process: int, requests: int, since: float) -> Row:
    at_once = memory(process)
    time.sleep(QUIET_SECONDS)
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    threads = int(next(line for line in status if line.startswith("Threads")).split()[1])
    files = sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())
    return Row(requests, at_once, memory(process), threads, files, time.perf_counter() - since)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--model", type=Path, help="a bundle instead of the one that comes with vantage")
    arguments = parser.parse_args()
    stops = [*(stop for stop in STOPS if stop < arguments.requests), arguments.requests]
    rows: list[Row] = []
    seen: Counter[int] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        work, port = Path(folder), free_port()
        command = [sys.executable, "-m", "service", "serve", "--data", str(work / "data"), "--device", "cpu"]
        command += ["--port", str(port), *(("--model", str(arguments.model)) if arguments.model else ())]
        with server(command, port, "/readyz", work / "vantage.log") as process:
            fill(port)
            questions, begin, done = Questions(), time.perf_counter(), 0
            for stop in stops:
                asyncio.run(send(port, questions, stop - done, seen))
                done = stop
                rows.append(look(process, done, begin))
                console.print(
                    f"{done:,} requests: {rows[-1].at_once:.1f} MiB, then {rows[-1].mebibytes:.1f}", style="dim"
                )
    show(rows, seen)
    surprises = set(seen) - EXPECTED
    if surprises:
        raise SystemExit(f"answers that nobody expected, by status: {sorted(surprises)}")


def show(rows: list[Row], seen: Counter[int]) -> None:
    table = Table(title="Resident memory of the service's process")
    for heading in ("requests", "MiB at once", "MiB", "since the first 1,000", "threads", "open files", "seconds"):
        table.add_column(heading, justify="right")
    for row in rows:
        grown = f"{row.mebibytes / rows[0].mebibytes - 1:+.1%}"
        table.add_row(
            f"{row.requests:,}",
            f"{row.at_once:.1f}",
            f"{row.mebibytes:.1f}",
            grown,
            str(row.threads),
            str(row.files),
            f"{row.seconds:.0f}",
        )
    console.print(table)
    console.print("answers by status: " + ", ".join(f"{status} {count:,}" for status, count in sorted(seen.items())))


if __name__ == "__main__":
    main()
