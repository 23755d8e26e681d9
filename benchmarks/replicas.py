"""Two replicas behind nginx under load: one is killed, comes back, and then the other one is told to stop.

    python benchmarks/replicas.py                        a demo gallery in each, and a file of SQLite that both share
    python benchmarks/replicas.py --milvus http://127.0.0.1:19530 --database postgresql://vantage@127.0.0.1/vantage

Printed is how many searches were answered and how many failed in each part of the run, and whether every answer stands
in the audit log, once. Wants nginx; with --milvus and --database what those name, empty.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
PICTURES = sorted((ROOT / "service/demo/queries").glob("*.jpg"))
PARTS = ("both are there", "one was killed", "it is back", "the other was stopped")
PATIENCE = 600  # seconds until a replica must be ready


class Replicas:
    def __init__(self, folder: Path, first_port: int, variables: dict[str, str]) -> None:
        self._folder, self.ports = folder, (first_port + 1, first_port + 2)
        self.url = f"http://127.0.0.1:{first_port}"
        ours = {"VANTAGE_PROXIES": "127.0.0.1", "VANTAGE_THREADS": "1"} | variables
        self.variables = {name: value for name, value in os.environ.items() if not name.startswith("VANTAGE_")} | ours
        self.processes = [self._serve(number) for number in (0, 1)]
        text = (ROOT / "docker/nginx/nginx.conf").read_text().replace("/tmp/", f"{folder}/")
        text = text.replace("listen 8080;", f"listen 127.0.0.1:{first_port};")
        for number, port in enumerate(self.ports, 1):
            text = text.replace(f"replica-{number}:8000", f"127.0.0.1:{port}")
        (folder / "nginx.conf").write_text(text)
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin") or sys.exit("nginx is not installed")
        command = [nginx, "-p", folder, "-c", folder / "nginx.conf", "-g", "daemon off;"]
        self._nginx = subprocess.Popen(command, stderr=(folder / "nginx.log").open("ab"))

    def _serve(self, number: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "service", "serve", "--port", str(self.ports[number])]
        command += ["--data", str(self._folder / f"replica-{number}")]
        log = (self._folder / f"replica-{number}.log").open("ab")
        return subprocess.Popen(command, env=self.variables, cwd=ROOT, stdout=log, stderr=log)

    def await_ready(self, number: int) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.processes[number].poll() is None:
            try:
                if httpx.get(f"http://127.0.0.1:{self.ports[number]}/readyz", timeout=60).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        sys.exit((self._folder / f"replica-{number}.log").read_text()[-3000:])

    def start_again(self, number: int) -> None:
        self.processes[number] = self._serve(number)
        self.await_ready(number)

    def end(self, number: int, how: signal.Signals) -> int:
        self.processes[number].send_signal(how)
        return self.processes[number].wait()

    def close(self) -> None:
        for process in (*self.processes, self._nginx):
            if process.poll() is None:
                process.terminate()
            process.wait()


class Load:
    """Clients that search one after another, every second time with a picture."""

    def __init__(self, url: str, gallery: str, items: list[str], clients: int) -> None:
        self.part = PARTS[0]
        self.answered: dict[str, str] = {}
        self.failed: list[tuple[str, str]] = []
        self._path, self._items, self._url = f"/v1/galleries/{gallery}/search", items, url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self, client: int) -> None:
        with httpx.Client(base_url=self._url, timeout=120) as asking:
            number = 0
            while not self._stop.is_set():
                number += 1
                part, headers = self.part, {"X-Request-Id": f"{client}-{number}"}
                place = client * 37 + number
                try:
                    if number % 2:
                        picture = PICTURES[place % len(PICTURES)].read_bytes()
                        answer = asking.post(self._path, files={"image": picture}, headers=headers)
                    else:
                        body = {"item_id": self._items[place % len(self._items)]}
                        answer = asking.post(self._path, json=body, headers=headers)
                    if answer.status_code == 200:
                        self.answered[headers["X-Request-Id"]] = part
                    else:
                        self.failed.append((part, f"{answer.status_code} {answer.json()['detail'][:120]}"))
                except httpx.HTTPError as error:
                    self.failed.append((part, repr(error)))

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def fill(client: httpx.Client) -> str:
    """A gallery of the pictures that the others search with."""
    client.post("/v1/galleries", json={"name": "replicas"}).raise_for_status()
    rows = [{"id": path.name, "image_b64": base64.b64encode(path.read_bytes()).decode()} for path in PICTURES]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    headers = {"Content-Type": "application/x-ndjson"}
    client.post("/v1/galleries/replicas/items:batch", content=content, headers=headers).raise_for_status()
    return "replicas"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--milvus", help="the server that holds the galleries; without it each has one of its own")
    parser.add_argument("--database", help="the database that replicas share; without it a file of SQLite")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each of the four parts takes")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--port", type=int, default=18100, help="of nginx; the replicas take the next two")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        variables = {"VANTAGE_DATABASE": given.database or f"sqlite:///{folder / 'shared.sqlite'}"}
        if given.milvus:
            variables |= {"VANTAGE_GALLERY": "milvus", "VANTAGE_MILVUS_URI": given.milvus}
            variables |= {"VANTAGE_CROPS": f"{folder}/crops", "VANTAGE_SNAPSHOTS": f"{folder}/snapshots"}
        else:
            variables["VANTAGE_DEMO"] = "true"
        replicas = Replicas(folder, given.port, variables)
        try:
            for number in (0, 1):
                replicas.await_ready(number)
            with httpx.Client(base_url=replicas.url, timeout=120) as client:
                gallery = fill(client) if given.milvus else "demo"
                listed = client.get(f"/v1/galleries/{gallery}/items").json()["items"]
            load = Load(replicas.url, gallery, [item["id"] for item in listed], given.clients)
            try:
                time.sleep(given.seconds)
                load.part = PARTS[1]
                replicas.end(0, signal.SIGKILL)
                time.sleep(given.seconds)
                replicas.start_again(0)
                load.part = PARTS[2]
                time.sleep(given.seconds)
                load.part = PARTS[3]
                code = replicas.end(1, signal.SIGTERM)
                time.sleep(given.seconds)
            finally:
                load.close()
            command = [sys.executable, "-m", "service", "audit"]
            told = {"env": replicas.variables, "cwd": ROOT, "capture_output": True, "text": True}
            shown = subprocess.run([*command, "show", "--json", "--action", "search"], check=True, **told).stdout
            sound = subprocess.run([*command, "verify"], check=False, **told)
        finally:
            replicas.close()
    answered, failed = Counter(load.answered.values()), Counter(part for part, _ in load.failed)
    for part in PARTS:
        print(f"{part:>22}: {answered[part]:6,} answered, {failed[part]:4,} failed")
    for problem, count in Counter(problem for _, problem in load.failed).most_common(5):
        print(f"  {count} x {problem}")
    recorded = Counter(json.loads(line)["request_id"] for line in shown.splitlines())
    print(f"SIGTERM ended with code {code}")
    print(f"audit log: {'sound' if sound.returncode == 0 else sound.stdout}")
    print(f"  answered and not recorded {len(load.answered.keys() - recorded.keys())}")
    print(f"  recorded twice {sum(count > 1 for count in recorded.values())}")


if __name__ == "__main__":
    main()
