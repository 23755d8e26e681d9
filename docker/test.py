"""`make docker-test`: the images are built and the compose file is used as an operator uses it. Needs an engine alone.

It has a project, an image, a port, a volume and a folder of its own, and takes them away at the end, come what may;
layers stay in Docker's build cache. What it sees is printed, with the seconds that it took.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trying import PATIENCE, QUERY, ROOT, FailedError, find_compose, run, say, take

LARGEST_MB = 700
NAME = f"vantage-docker-test-{os.getpid()}"
IMAGE = f"{NAME}:cpu"

KILL = """
import os, signal
for pid in filter(str.isdigit, os.listdir("/proc")):
    command = open(f"/proc/{pid}/cmdline").read()
    if pid not in ("1", str(os.getpid())) and "vantage" in command and "serve" in command:
        os.kill(int(pid), signal.SIGKILL)
"""


class Tried:
    def __init__(self, compose: list[str], pictures: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._compose = compose
        os.environ |= {
            "COMPOSE_PROJECT_NAME": NAME,
            "SERVICE_IMAGE": IMAGE,
            "SERVICE_PORT": str(self.port),
            "PICTURES": str(pictures),
            "COMPOSE_PROFILES": "",
            "VANTAGE_KEY": "",
        }

    def compose(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        return run(*self._compose, "-f", "docker-compose.yml", *arguments, codes=codes)

    def container(self) -> str:
        return self.compose("ps", "-a", "-q", "vantage").strip()

    def inspect(self, what: str) -> Any:
        return json.loads(run("docker", "inspect", "-f", f"{{{{json {what}}}}}", self.container()))

    def until_healthy(self, restarts: int = 0) -> None:
        """restarts: how often Docker must have started it anew by then."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            state, restarted = self.inspect(".State"), self.inspect(".RestartCount")
            if restarted == restarts and state["Status"] == "running" and state["Health"]["Status"] == "healthy":
                return
            if restarted > restarts or state["Status"] == "exited":
                break
            time.sleep(0.5)
        logged = self.compose("logs", "--tail=40", "vantage")
        raise FailedError(f"it was not healthy within {PATIENCE} s, or ended: {state}\n{logged}")

    def first(self, gallery: str) -> str:
        """The id that a search with the query puts first."""
        body = json.dumps({"image_b64": base64.b64encode(QUERY.read_bytes()).decode(), "top_k": 5}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/galleries/{gallery}/search", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.load(answer)["results"][0]["id"])

    def inside(self, *command: str) -> tuple[int, str]:
        done = subprocess.run(
            ["docker", "exec", self.container(), *command], capture_output=True, text=True, check=False
        )
        return done.returncode, (done.stdout + done.stderr).strip()

    # The steps, in their order.

    def builds(self) -> str:
        self.compose("build", "vantage")
        size = int(run("docker", "image", "inspect", "-f", "{{.Size}}", IMAGE)) / 1e6
        if size >= LARGEST_MB:
            raise FailedError(f"the image has {size:.0f} MB, which should be below {LARGEST_MB}")
        return f"the image is built: {size:.0f} MB"

    def starts(self) -> str:
        self.compose("up", "-d")
        self.until_healthy()
        return "up and healthy"

    def answers(self) -> str:
        first = self.first("demo")
        if not first.startswith(QUERY.name[:9]):
            raise FailedError(f"of the demo's people {first} came first for {QUERY.name}")
        return f"the right person comes first: {first}"

    def is_confined(self) -> str:
        code, user = self.inside("id", "-u")
        if code or user == "0":
            raise FailedError(f"it runs as user {user}")
        for path in ("/written", "/app/written", "/etc/written"):
            _, said = self.inside("sh", "-c", f"echo x > {path}")
            if "Read-only file system" not in said:
                raise FailedError(f"its root is not read-only: writing {path} gave {said or 'no error'}")
        for module in ("torch", "pip", "training"):
            code, said = self.inside("python", "-c", f"import {module}")
            if "ModuleNotFoundError" not in said:
                raise FailedError(f"the image has {module}")
        for command in ("cc", "gcc", "c++", "curl"):
            if not self.inside("sh", "-c", f"command -v {command}")[0]:
                raise FailedError(f"the image has {command}")
        _, capabilities = self.inside("grep", "^Cap", "/proc/self/status")
        if set(re.findall(r"[0-9a-f]{16}", capabilities)) != {"0" * 16}:
            raise FailedError(f"it has capabilities: {capabilities}")
        published = run("docker", "port", self.container()).split()
        if published != ["8000/tcp", "->", f"127.0.0.1:{self.port}"]:
            raise FailedError(f"published is {' '.join(published)}")
        return f"it is user {user}, without capabilities, on a read-only root, without torch and compiler; on 127.0.0.1"

    def indexes(self) -> str:
        command = ["run", "--rm", "-T", "index", "/pictures", "--gallery", "own", "--store-crops", "--json"]
        told = json.loads(self.compose(*command, codes=(3,)))
        if (told["added"], told["failed"]) != (12, 1):
            raise FailedError(f"twelve pictures and a broken one were indexed as {told}")
        code, report = self.inside("cat", "/data/own.failures.jsonl")
        if code or "broken.jpg" not in report:
            raise FailedError(f"the list of what failed is not in the volume: {report}")
        if self.first("own") != QUERY.name:
            raise FailedError(f"{self.first('own')} is not the picture that was just indexed")
        return "the one-shot service indexed twelve pictures of a folder and told of the broken one"

    def survives_down(self) -> str:
        self.compose("down")
        self.compose("up", "-d")
        self.until_healthy()
        self.still_holds()
        return "down, up and healthy: everything is still there"

    def survives_kill(self) -> str:
        self.inside("python", "-c", KILL)
        self.until_healthy(restarts=1)
        self.still_holds()
        return "the process got SIGKILL: Docker started it anew, and everything is still there"

    def survives_docker_kill(self) -> str:
        run("docker", "kill", self.container())
        self.compose("up", "-d")
        self.until_healthy()
        self.still_holds()
        return "the container got SIGKILL, and up: everything is still there"

    def stops(self) -> str:
        container = self.container()
        self.compose("stop", "vantage")
        if code := int(run("docker", "inspect", "-f", "{{.State.ExitCode}}", container)):
            raise FailedError(f"stopped, it ended with {code}; 137 means that it did not heed SIGTERM and was killed")
        return "SIGTERM: it stopped with exit code 0"

    def still_holds(self) -> None:
        self.answers()
        if self.first("own") != QUERY.name:
            raise FailedError("what was indexed is gone")

    def steps(self) -> list[Callable[[], str]]:
        return [
            self.builds,
            self.starts,
            self.answers,
            self.is_confined,
            self.indexes,
            self.survives_down,
            self.survives_kill,
            self.survives_docker_kill,
            self.stops,
        ]

    def clear(self) -> None:
        for command in ([*self._compose, "down", "-v", "--remove-orphans"], ["docker", "image", "rm", IMAGE]):
            subprocess.run(command, cwd=ROOT, capture_output=True, check=False)


def main() -> int:
    if (compose := find_compose()) is None:
        say("skipped: no Docker engine with Compose answers here")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="vantage-docker-test-") as folder:
        pictures = Path(folder)
        pictures.chmod(0o755)
        for picture in QUERY.parent.glob("*.jpg"):
            shutil.copy(picture, pictures)
        (pictures / "broken.jpg").write_bytes(b"no picture")
        tried = Tried(compose, pictures)
        return take(tried.steps(), tried.clear)


if __name__ == "__main__":
    sys.exit(main())
