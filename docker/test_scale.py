"""`make docker-test-scale`: docker/compose.scale.yml as an operator uses it. Needs an engine, and its images.

Two replicas behind nginx over Milvus and PostgreSQL: they take a gallery in, answer alike, and go on answering while
one of them, and then the database, is killed and comes back. It has a project, an image, ports and volumes of its own,
and takes them away at the end, come what may. What it sees is printed, with the seconds that it took.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from trying import PATIENCE, QUERY, ROOT, FailedError, find_compose, run, say, take

NAME = f"vantage-scale-test-{os.getpid()}"
IMAGE = f"{NAME}:scale-cpu"
FILE = "docker/compose.scale.yml"
PICTURES = sorted(QUERY.parent.glob("*.jpg"))
REPLICAS = ("replica-1", "replica-2")


class Tried:
    def __init__(self, compose: list[str]) -> None:
        self._compose = compose
        self.port, prometheus = free_ports(2)
        os.environ |= {
            "COMPOSE_PROJECT_NAME": NAME,
            "SCALE_IMAGE": IMAGE,
            "SCALE_PORT": str(self.port),
            "PROMETHEUS_PORT": str(prometheus),
            "COMPOSE_PROFILES": "",
        }
        self._prometheus = prometheus

    def compose(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        return run(*self._compose, "-f", FILE, *arguments, codes=codes)

    def ask(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
        """An answer of whichever replica nginx asks."""
        content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", content, {"Content-Type": kind}, method=method
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read()
        return json.loads(text) if text.startswith((b"{", b"[")) else text

    def search(self) -> list[str]:
        body = {"image_b64": base64.b64encode(QUERY.read_bytes()).decode(), "top_k": 5}
        return [result["id"] for result in self.ask("POST", "/v1/galleries/people/search", body)["results"]]

    def inside(self, service: str, *command: str) -> str:
        return self.compose("exec", "-T", service, *command)

    def until_healthy(self, *services: str) -> None:
        end = time.monotonic() + PATIENCE
        waiting = list(services)
        while waiting and time.monotonic() < end:
            container = self.compose("ps", "-q", waiting[0]).strip()
            state = json.loads(run("docker", "inspect", "-f", "{{json .State}}", container)) if container else {}
            if state.get("Health", {}).get("Status") == "healthy":
                waiting.pop(0)
            else:
                time.sleep(0.5)
        if waiting:
            logged = self.compose("logs", "--tail=25", *waiting)
            raise FailedError(f"not healthy within {PATIENCE} s: {', '.join(waiting)}\n{logged}")

    # The steps, in their order.

    def builds(self) -> str:
        self.compose("build", *REPLICAS)
        size = int(run("docker", "image", "inspect", "-f", "{{.Size}}", IMAGE)) / 1e6
        return f"the image is built: {size:.0f} MB"

    def starts(self) -> str:
        self.compose("up", "-d")
        self.until_healthy("postgresql", "milvus", *REPLICAS)
        return "up, and Milvus, PostgreSQL and both replicas are healthy"

    def takes_in(self) -> str:
        self.ask("POST", "/v1/galleries", {"name": "people", "store_crops": True})
        rows = [{"id": path.name, "image_b64": base64.b64encode(path.read_bytes()).decode()} for path in PICTURES]
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        self.ask("POST", "/v1/galleries/people/items:batch", content, "application/x-ndjson")
        return f"{len(PICTURES)} pictures were taken in"

    def answer_alike(self) -> str:
        answers = {}
        for replica in REPLICAS:
            code = (
                "import json, sys, urllib.request as u; "
                "print(u.urlopen(u.Request('http://127.0.0.1:8000/v1/galleries/people/search', sys.argv[1].encode(), "
                "{'Content-Type': 'application/json'}), timeout=120).read().decode())"
            )
            told = self.inside(replica, "python", "-c", code, json.dumps({"item_id": QUERY.name, "top_k": 5}))
            answers[replica] = [(found["id"], found["distance"]) for found in json.loads(told)["results"]]
        if answers[REPLICAS[0]] != answers[REPLICAS[1]]:
            raise FailedError(f"the replicas answer differently: {answers}")
        if self.search()[0] != QUERY.name:
            raise FailedError(f"{self.search()[0]} came first for {QUERY.name}")
        return "both replicas give the same ids and distances, and the picture itself comes first"

    def shares_keys(self) -> str:
        made = json.loads(self.inside("replica-1", "vantage", "key", "create", "--name", "second", "--json"))
        self._until_opens("replica-2", made["secret"], 200)
        self.inside("replica-2", "vantage", "key", "revoke", made["key"]["id"])
        self._until_opens("replica-1", made["secret"], 401)
        return "a key that was made on one replica opens the other, which takes it back for both"

    def _until_opens(self, replica: str, key: str, wanted: int) -> None:
        """A service learns of keys within a second; it gets ten."""
        code = (
            "import sys, urllib.error as e, urllib.request as u\n"
            "key = {'Authorization': 'Bearer ' + sys.argv[1]}\n"
            "asked = u.Request('http://127.0.0.1:8000/v1/galleries', headers=key)\n"
            "try: print(u.urlopen(asked, timeout=30).status)\n"
            "except e.HTTPError as error: print(error.code)"
        )
        end = time.monotonic() + 10
        while (status := int(self.inside(replica, "python", "-c", code, key))) != wanted:
            if time.monotonic() > end:
                raise FailedError(f"{replica} answers that key with {status}, not {wanted}")
            time.sleep(0.5)

    def survives_a_replica(self) -> str:
        return self._while_searching(
            "replica-1 killed and started", lambda: (self.compose("kill", "replica-1"), self.compose("up", "-d"))
        )

    def says_what_is_away(self) -> str:
        self.compose("stop", "postgresql")
        try:
            self.search()
        except urllib.error.HTTPError as error:
            if error.code != 503 or not error.headers["Retry-After"]:
                raise FailedError(f"without its database it says {error.code}, {error.read()[:300]!r}") from error
        else:
            raise FailedError("without its database a search was answered, and could not be recorded")
        self.compose("start", "postgresql")
        self.until_healthy("postgresql", *REPLICAS)
        if self.search()[0] != QUERY.name:
            raise FailedError("after the database came back the answer is another")
        return "without PostgreSQL searches get 503 with Retry-After; afterwards all is as before"

    def is_recorded(self) -> str:
        return f"audit log: {self.inside('replica-2', 'vantage', 'audit', 'verify').strip().splitlines()[-1]}"

    def is_watched(self) -> str:
        url = f"http://127.0.0.1:{self._prometheus}/api/v1/query?query=up%7Bjob%3D%22vantage%22%7D"
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with urllib.request.urlopen(url, timeout=30) as answer:
                seen = [each["value"][1] for each in json.load(answer)["data"]["result"]]
            if seen == ["1", "1"]:
                return "Prometheus sees both replicas"
            time.sleep(1)
        raise FailedError(f"Prometheus sees of the replicas: {seen}")

    def steps(self) -> list[Callable[[], str]]:
        return [
            self.builds,
            self.starts,
            self.takes_in,
            self.answer_alike,
            self.survives_a_replica,
            self.says_what_is_away,
            self.is_recorded,
            self.is_watched,
            self.shares_keys,  # the last: from the first key on nobody is let in without one
        ]

    def _while_searching(self, what: str, work: Callable[[], object]) -> str:
        stop, failed, answered = threading.Event(), [], 0

        def search() -> None:
            nonlocal answered
            while not stop.is_set():
                try:
                    self.search()
                    answered += 1
                except OSError as error:
                    failed.append(repr(error))

        clients = [threading.Thread(target=search) for _ in range(2)]
        for client in clients:
            client.start()
        try:
            time.sleep(3)
            work()
            self.until_healthy(*REPLICAS)
            time.sleep(3)
        finally:
            stop.set()
            for client in clients:
                client.join()
        if failed:
            raise FailedError(f"{what}: {len(failed)} of {answered + len(failed)} searches failed: {failed[0]}")
        return f"{what}: {answered} searches answered meanwhile, none failed"

    def clear(self) -> None:
        for command in (
            [*self._compose, "-f", FILE, "down", "-v", "--remove-orphans"],
            ["docker", "image", "rm", IMAGE],
        ):
            subprocess.run(command, cwd=ROOT, capture_output=True, check=False)


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports


def main() -> int:
    if (compose := find_compose()) is None:
        say("skipped: no Docker engine with Compose answers here")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    tried = Tried(compose)
    return take(tried.steps(), tried.clear)


if __name__ == "__main__":
    sys.exit(main())
